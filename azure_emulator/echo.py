"""Deployments without containers: ready at once, and each answers with its name and with what it was asked.

A deployment's environment variables change that: ``EMULATOR_FAILS`` is what its start fails with,
``EMULATOR_SECONDS`` how long the start takes, ``EMULATOR_STATUS`` and ``EMULATOR_ANSWER`` (JSON) what it answers,
``EMULATOR_ANSWER_SECONDS`` how long an answer takes.
"""

from __future__ import annotations

import json
import time

from azure_emulator.instances import Instance, Logs, NotReady, Plan
from azure_emulator.messages import Answer, Request

NOT_READY = (
    "ResourceNotReady: User container has crashed or terminated. Please see troubleshooting guide, available here: "
    "https://aka.ms/oe-tsg#error-resourcenotready"
)


class EchoRuntime:
    def start(self, plan: Plan) -> Instance:
        time.sleep(float(plan.variables.get("EMULATOR_SECONDS", 0)))
        fails = plan.variables.get("EMULATOR_FAILS")
        if fails is not None:
            raise NotReady(NOT_READY, Logs(server=f"{fails}\n", storage="Downloaded the model\n"))
        return _Echo(plan)

    def clear(self) -> None:
        pass


class _Echo:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._asked: list[str] = []

    def forward(self, request: Request, path: str, seconds: float) -> Answer:
        plan, variables = self._plan, self._plan.variables
        self._asked.append(f"{request.method} {path}\n")
        takes = float(variables.get("EMULATOR_ANSWER_SECONDS", 0))
        time.sleep(min(takes, seconds))
        if takes > seconds:
            raise TimeoutError
        if "EMULATOR_ANSWER" in variables:
            value = json.loads(variables["EMULATOR_ANSWER"])
        else:
            asked = request.body.decode(errors="replace")
            value = {"endpoint": plan.endpoint, "deployment": plan.deployment, "path": path, "request": _read(asked)}
        return Answer.of(value, int(variables.get("EMULATOR_STATUS", 200)))

    def logs(self) -> Logs:
        return Logs(
            server="".join([f"{self._plan.deployment} echoes\n", *self._asked]), storage="Downloaded the model\n"
        )

    def stop(self) -> None:
        pass


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
