"""What teams write: the endpoint, the deployment and the traffic are put each time, as they are in the documents."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from azure.ai.ml import MLClient, load_online_deployment, load_online_endpoint
from azure.identity import DefaultAzureCredential


def main() -> None:
    place = Path(sys.argv[1])
    client = MLClient(
        DefaultAzureCredential(),
        os.environ["AZUREML_ARM_SUBSCRIPTION"],
        os.environ["AZUREML_ARM_RESOURCEGROUP"],
        os.environ["AZUREML_ARM_WORKSPACE_NAME"],
        enable_telemetry=False,
    )
    endpoint = load_online_endpoint(place / "endpoint.yaml")
    deployment = load_online_deployment(place / "deployment.yaml")
    endpoint.traffic = {deployment.name: 100}
    client.online_endpoints.begin_create_or_update(endpoint).result()
    client.online_deployments.begin_create_or_update(deployment).result()
    client.online_endpoints.begin_create_or_update(endpoint).result()


if __name__ == "__main__":
    main()
