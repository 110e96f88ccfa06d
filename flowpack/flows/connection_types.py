"""promptflow's connection types: the document type of each class, and the fields its constructor takes.

Source: ``promptflow.core._connection`` of promptflow-core 1.18.5; the defaults of the fields are those that
``pf flow build`` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_PROMPTFLOW = "promptflow.connections"
_VECTOR_DB = "promptflow_vectordb.connections"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionType:
    """``needed`` fields have no default and are not secrets. A variable may override ``optional`` fields."""

    class_name: str
    document_type: str
    needed: tuple[str, ...] = ()
    optional: Mapping[str, str | None] = field(default_factory=dict)
    secrets: tuple[str, ...] = ("api_key",)
    module: str = _PROMPTFLOW


AZURE_OPEN_AI = ConnectionType(
    class_name="AzureOpenAIConnection",
    document_type="azure_open_ai",
    needed=("api_base",),
    optional={"api_type": "azure", "api_version": "2024-02-01", "auth_mode": "key"},
)
OPEN_AI = ConnectionType(
    class_name="OpenAIConnection", document_type="open_ai", optional={"organization": None, "base_url": None}
)
SERVERLESS = ConnectionType(class_name="ServerlessConnection", document_type="serverless", needed=("api_base",))
CUSTOM = ConnectionType(class_name="CustomConnection", document_type="custom", secrets=())

CONNECTION_TYPES: Mapping[str, ConnectionType] = {
    each.class_name: each
    for each in (
        AZURE_OPEN_AI,
        OPEN_AI,
        SERVERLESS,
        CUSTOM,
        ConnectionType(class_name="SerpConnection", document_type="serp"),
        ConnectionType(
            class_name="CognitiveSearchConnection",
            document_type="cognitive_search",
            needed=("api_base",),
            optional={"api_version": "2023-11-01", "auth_mode": "key"},
        ),
        ConnectionType(
            class_name="AzureAIServicesConnection",
            document_type="azure_ai_services",
            needed=("endpoint",),
            optional={"auth_mode": "key"},
        ),
        ConnectionType(
            class_name="AzureContentSafetyConnection",
            document_type="azure_content_safety",
            needed=("endpoint",),
            optional={"api_type": "Content Safety", "api_version": "2023-10-01"},
        ),
        ConnectionType(
            class_name="FormRecognizerConnection",
            document_type="form_recognizer",
            needed=("endpoint",),
            optional={"api_type": "Form Recognizer", "api_version": "2023-07-31"},
        ),
        ConnectionType(class_name="QdrantConnection", document_type="qdrant", needed=("api_base",), module=_VECTOR_DB),
        ConnectionType(
            class_name="WeaviateConnection", document_type="weaviate", needed=("api_base",), module=_VECTOR_DB
        ),
    )
}

# An LLM node's provider; promptflow sets it from the connection's type, so the two agree in a flow that runs.
LLM_PROVIDERS: Mapping[str, ConnectionType] = {
    "AzureOpenAI": AZURE_OPEN_AI,
    "OpenAI": OPEN_AI,
    "Serverless": SERVERLESS,
}

# The `type` of a prompty's model configuration, and the classes of a flex flow's. No other type calls a model.
PROMPTY_TYPES: Mapping[str, ConnectionType] = {
    "azure_openai": AZURE_OPEN_AI,
    "azure_open_ai": AZURE_OPEN_AI,
    "openai": OPEN_AI,
    "open_ai": OPEN_AI,
}
MODEL_CONFIGURATIONS: Mapping[str, ConnectionType] = {
    "AzureOpenAIModelConfiguration": AZURE_OPEN_AI,
    "OpenAIModelConfiguration": OPEN_AI,
}

_AZURE_OR_OPEN_AI = ("AzureOpenAIConnection", "OpenAIConnection")

# The connection inputs of the tools in promptflow-tools 1.6.1, by the tool's full name, from its own metadata.
PACKAGE_TOOL_CONNECTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "promptflow.tools.embedding.embedding": {"connection": (*_AZURE_OR_OPEN_AI, "ServerlessConnection")},
    "promptflow.tools.serpapi.SerpAPI.search": {"connection": ("SerpConnection",)},
    "promptflow.tools.azure_content_safety.analyze_text": {"connection": ("AzureContentSafetyConnection",)},
    "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat": {"connection": ("AzureOpenAIConnection",)},
    "promptflow.tools.openai_gpt4v.OpenAI.chat": {"connection": ("OpenAIConnection",)},
    "promptflow.tools.llm_vision.llm_vision": {"connection": _AZURE_OR_OPEN_AI},
    "promptflow.tools.llm.llm": {"connection": (*_AZURE_OR_OPEN_AI, "ServerlessConnection")},
}
