"""Deployments in containers of the local engine, on the host's network: each has a port of its own there.

What leads a container to the emulator is put into it as a deployment in Azure has it: a managed identity by
``MSI_ENDPOINT`` and ``MSI_SECRET``, the model at ``AZUREML_MODEL_DIR``. The proxy's variables and the bundle with the
emulator's authority stand for Azure's network. A server is told its port by ``FLOWPACK_PORT`` and ``PORT``.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from azure_emulator.echo import NOT_READY
from azure_emulator.instances import Instance, Logs, Model, NotReady, Plan, Route
from azure_emulator.messages import Answer, Request
from flowpack.errors import EngineError
from flowpack.images.engine import find_engine
from flowpack.images.engine.builders import docker_programs
from flowpack.running.processes import free_port

LABEL = "flowpack.azure-emulator"
OWNER = f"{LABEL}.process"
"""Which process of which machine a container is of: a container in which tests run counts as one."""

BUNDLE = "/etc/azure-emulator/ca.pem"
PATIENCE_AT_THE_END = 10

# Of one connection, or the gateway's own.
DROPPED = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "host", "authorization"}


class ContainerRuntime:
    def __init__(
        self,
        folder: Path,
        bundle: Path,
        blobs: Callable[[str], dict[str, bytes]],
        network: Callable[[], Mapping[str, str]],
        docker_config: Path | None,
        label: str,
    ) -> None:
        self._folder = folder
        self._bundle = bundle
        self._blobs = blobs
        self._network = network
        self._docker_config = docker_config
        self._program = ""
        self._label = label
        self._lock = threading.Lock()

    def start(self, plan: Plan) -> Instance:
        self._pull(plan.image)
        storage = "No model to download\n"
        volumes, variables = [f"{self._bundle}:{BUNDLE}:ro"], dict(self._variables())
        if plan.model:
            inside = f"{plan.model_mount_path}/azureml-models/{plan.model.name}/{plan.model.version}"
            volumes.append(f"{self._download(plan.model)}:{inside}:ro")
            variables["AZUREML_MODEL_DIR"] = inside
            storage = f"Downloading azureml-models/{plan.model.name}/{plan.model.version}\nDownloaded to {inside}\n"
        port = free_port()
        # What Azure itself decides, a deployment's own variables do not.
        variables |= {**plan.variables, "FLOWPACK_HOST": "127.0.0.1", "FLOWPACK_PORT": str(port), "PORT": str(port)}
        command = [
            "run",
            "--detach",
            "--network=host",
            f"--label={self._label}",
            f"--label={OWNER}={socket.gethostname()}/{os.getpid()}",
        ]
        command += [f"--label={LABEL}.deployment={plan.deployment}", *(f"--volume={one}" for one in volumes)]
        command += [f"--env={name}={value}" for name, value in variables.items()]
        done = self._docker(*command, plan.image)
        if done.returncode:
            raise NotReady(f"{NOT_READY}\n{done.stderr.strip()}", Logs(done.stderr, storage))
        container = Container(self._docker, done.stdout.strip(), port, storage)
        try:
            container.wait(plan)
        except BaseException:
            container.remove()
            raise
        return container

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._program:
            return
        found = self._docker("ps", "--all", "--quiet", f"--filter=label={self._label}").stdout.split()
        if found:
            self._docker("rm", "--force", "--volumes", *found)

    def _docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self._lock:
            if not self._program:
                self._program = _engine()
                self._remove_orphans()
        environment = {**os.environ, **({"DOCKER_CONFIG": str(self._docker_config)} if self._docker_config else {})}
        return _run(self._program, *arguments, environment=environment)

    def _remove_orphans(self) -> None:
        """Those of an emulator whose process was killed."""
        listing = _run(
            self._program, "ps", "--all", f"--filter=label={OWNER}", f'--format={{{{.ID}}}} {{{{.Label "{OWNER}"}}}}'
        )
        for line in listing.stdout.splitlines():
            identifier, owner = line.split()
            host, process = owner.rsplit("/", 1)
            if host == socket.gethostname() and not Path("/proc", process).exists():
                _run(self._program, "rm", "--force", "--volumes", identifier)

    def _pull(self, image: str) -> None:
        if self._docker("image", "inspect", "--format={{.Id}}", image).returncode == 0:
            return
        done = self._docker("pull", "--quiet", image)
        if done.returncode:
            raise NotReady(
                f"ImagePullFailure: Failed to pull the image {image}: {done.stderr.strip()} Please see troubleshooting "
                "guide, available here: https://aka.ms/oe-tsg#error-imagepullfailure",
                Logs(server="", storage=f"Failed to pull {image}\n"),
            )

    def _download(self, model: Model) -> Path:
        """The folder that is mounted; the model's own folder, or its file, is in it by its last name."""
        folder = self._folder / model.name / model.version
        if not folder.exists():
            files = self._blobs(model.path)
            if not files:
                text = f"ModelDownload failed: there is nothing at {model.path} of the workspace's container."
                raise NotReady(f"ResourceNotReady: {text}", Logs(storage=f"{text}\n"))
            last = model.path.rstrip("/").rpartition("/")[2]
            for name, content in files.items():
                file = folder / last / name if name else folder / last
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return folder

    def _variables(self) -> Mapping[str, str]:
        return {
            name: BUNDLE if value == str(self._bundle) else value
            for name, value in self._network().items()
            # That is for the clients of a cloud; a deployment is told of none.
            if name != "ARM_CLOUD_METADATA_URL"
        }


class Container:
    def __init__(
        self, docker: Callable[..., subprocess.CompletedProcess[str]], identifier: str, port: int, storage: str
    ) -> None:
        self._docker = docker
        self._identifier = identifier
        self._port = port
        self._storage = storage

    def wait(self, plan: Plan) -> None:
        """Until both probes are answered well; Azure would start a container that ended again, and again."""
        ends = time.monotonic() + plan.ready_seconds
        last = "no answer"
        while time.monotonic() < ends:
            answers = [self._probe(route) for route in (plan.liveness, plan.readiness)]
            if all(one == "200" for one in answers):
                return
            last = next(one for one in answers if one != "200")
            running = self._docker("inspect", "--format={{.State.Running}}", self._identifier).stdout.strip()
            if running != "true":
                raise NotReady(NOT_READY, self.logs())
            time.sleep(0.1)
        reason = (
            "ResourceNotReady: User container has crashed or terminated: Liveness probe failed: HTTP probe failed with"
        )
        guide = "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-resourcenotready"
        raise NotReady(f"{reason} {last}. {guide}", self.logs())

    def _probe(self, route: Route) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        with contextlib.closing(connection):
            try:
                connection.request("GET", route.path)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return "no answer"
        return "200" if status == 200 else f"statuscode: {status}"

    def forward(self, request: Request, path: str, seconds: float) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        headers = {name: value for name, value in request.headers.items() if name not in DROPPED}
        with contextlib.closing(connection):
            connection.request(request.method, path, request.body, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in DROPPED}
            return Answer(answer.status, answer.read(), kept)

    def logs(self) -> Logs:
        done = self._docker("logs", self._identifier)
        return Logs(done.stdout + done.stderr, self._storage)

    def stop(self) -> None:
        """As Azure ends one: it may finish what it is at."""
        self._docker("stop", f"--time={PATIENCE_AT_THE_END}", self._identifier)
        self.remove()

    def remove(self) -> None:
        self._docker("rm", "--force", "--volumes", self._identifier)


def _engine() -> str:
    try:
        find_engine()
        return docker_programs()[0]
    except EngineError as error:
        raise NotReady(
            f"SystemSetup failed: {error.message}; Setup(runs_containers=False) needs none.", Logs()
        ) from None


def _run(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
