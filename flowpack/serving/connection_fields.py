"""promptflow's connection types as documents and workspaces name them, each with the fields it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODULE = "promptflow.connections"
_VECTOR_DB = "promptflow_vectordb.connections"
CUSTOM_PREFIX = "promptflow.connection."


@dataclass(frozen=True)
class ConnectionType:
    """``needed`` fields have no default; ``api_key`` is needed unless the connection signs in with Entra ID."""

    class_name: str
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    module: str = MODULE

    @property
    def fields(self) -> tuple[str, ...]:
        return ("api_key", *self.needed, *self.optional)


CUSTOM = ConnectionType("CustomConnection")

TYPES: Mapping[str, ConnectionType] = {
    "azure_open_ai": ConnectionType(
        "AzureOpenAIConnection", ("api_base",), ("api_type", "api_version", "auth_mode", "resource_id")
    ),
    "open_ai": ConnectionType("OpenAIConnection", (), ("organization", "base_url")),
    "serverless": ConnectionType("ServerlessConnection", ("api_base",)),
    "serp": ConnectionType("SerpConnection"),
    "cognitive_search": ConnectionType("CognitiveSearchConnection", ("api_base",), ("api_version", "auth_mode")),
    "azure_ai_services": ConnectionType("AzureAIServicesConnection", ("endpoint",), ("auth_mode",)),
    "azure_content_safety": ConnectionType("AzureContentSafetyConnection", ("endpoint",), ("api_type", "api_version")),
    "form_recognizer": ConnectionType("FormRecognizerConnection", ("endpoint",), ("api_type", "api_version")),
    "qdrant": ConnectionType("QdrantConnection", ("api_base",), (), _VECTOR_DB),
    "weaviate": ConnectionType("WeaviateConnection", ("api_base",), (), _VECTOR_DB),
    "custom": CUSTOM,
}

# A workspace's category, and the field that its ``target`` is.
_CATEGORIES: Mapping[str, tuple[str, str]] = {
    "azureopenai": ("azure_open_ai", "api_base"),
    "openai": ("open_ai", "base_url"),
    "serverless": ("serverless", "api_base"),
    "cognitivesearch": ("cognitive_search", "api_base"),
    "aiservices": ("azure_ai_services", "endpoint"),
    "serp": ("serp", ""),
}


def type_named(name: object) -> ConnectionType | None:
    """By its name in a document (``azure_open_ai``), or by its class, with or without ``Connection``."""
    text = str(name).lower().replace("_", "")
    text = text[: -len("connection")] if text.endswith("connection") else text
    return next((each for key, each in TYPES.items() if key.replace("_", "") == text), None)


def from_workspace(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The document that says the same as a workspace's connection; None where its category has no counterpart.

    Azure ML puts this form into a deployment's variable in place of ``${{azureml://connections/<name>}}``.
    """
    properties = data["properties"]
    metadata = {str(key): value for key, value in (properties.get("metadata") or {}).items()}
    lowered = {key.lower(): value for key, value in metadata.items()}
    credentials = properties.get("credentials") or {}
    category = str(properties.get("category", "")).lower()
    if category == "customkeys":
        configs = {key: value for key, value in metadata.items() if not key.lower().startswith("azureml.flow.")}
        document: dict[str, Any] = {
            "type": "custom",
            "configs": configs,
            "secrets": dict(credentials.get("keys") or {}),
        }
        named, module = lowered.get("azureml.flow.connection_type"), lowered.get("azureml.flow.module")
        of_promptflow = type_named(named) if named else CUSTOM
        if of_promptflow is None:
            return {**document, "custom_type": named, "module": module} if module else document
        return document if of_promptflow is CUSTOM else {"type": named, **document["configs"], **document["secrets"]}
    if category == "cognitiveservice":
        kinds = {"content safety": "azure_content_safety", "form recognizer": "form_recognizer"}
        kind, target = kinds.get(str(lowered.get("kind", "")).lower(), ""), "endpoint"
    else:
        kind, target = _CATEGORIES.get(category, ("", ""))
    if not kind:
        return None
    entra = str(properties.get("authType", "")).lower() == "aad"
    document = {
        "type": kind,
        "api_key": credentials.get("key"),
        target: properties.get("target"),
        "api_type": lowered.get("apitype"),
        "api_version": lowered.get("apiversion"),
        "resource_id": lowered.get("resourceid"),
        "organization": lowered.get("organization"),
        "auth_mode": "meid_token" if entra else None,
    }
    return {key: value for key, value in document.items() if key and value}
