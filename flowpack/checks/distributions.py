"""The distributions that provide a module, for common packages. A module that is not listed is not guessed.

Packages that promptflow-core requires (flask, openai, requests, ...) are not listed: every flow has them.
"""

from __future__ import annotations

from collections.abc import Mapping


def _by_one_name(*names: str) -> dict[str, tuple[str, ...]]:
    """For packages whose module has the package's name."""
    return {name.replace("-", "_"): (name,) for name in names}


def _of_azure(*names: str) -> dict[str, tuple[str, ...]]:
    return {name.replace("-", "."): (name,) for name in names}


_SELDOM_BROUGHT: Mapping[str, tuple[str, ...]] = {
    **_of_azure("azure-ai-contentsafety", "azure-ai-documentintelligence", "azure-ai-evaluation"),
    **_of_azure("azure-ai-formrecognizer", "azure-ai-ml", "azure-ai-textanalytics", "azure-ai-translation-text"),
    **_of_azure("azure-ai-vision-imageanalysis", "azure-appconfiguration", "azure-cognitiveservices-speech"),
    **_of_azure("azure-cosmos", "azure-data-tables", "azure-eventgrid", "azure-eventhub", "azure-keyvault-secrets"),
    **_of_azure("azure-kusto-data", "azure-monitor-query", "azure-search-documents", "azure-servicebus"),
    **_by_one_name("catboost", "chromadb", "dateparser", "deepeval", "docx2txt", "duckdb", "gensim", "jira"),
    **_by_one_name("lancedb", "lightgbm", "markdownify", "motor", "neo4j", "oracledb", "phonenumbers", "polars"),
    **_by_one_name("presidio-analyzer", "presidio-anonymizer", "pycountry", "pymilvus", "pymssql", "pymysql", "pyodbc"),
    **_by_one_name("qdrant-client", "ragas", "rank-bm25", "sacrebleu", "seaborn", "selenium", "semantic-kernel"),
    **_by_one_name("sendgrid", "simple-salesforce", "slack-bolt", "stripe", "textblob", "thefuzz", "trafilatura"),
    **_by_one_name("twilio", "wikipedia", "xgboost", "xlrd"),
    "PyPDF2": ("pypdf2",),
    "atlassian": ("atlassian-python-api",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "databricks.sql": ("databricks-sql-connector",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "github": ("pygithub",),
    "gitlab": ("python-gitlab",),
    "mysql.connector": ("mysql-connector-python", "mysql-connector"),
    "office365": ("office365-rest-python-client",),
    "opensearchpy": ("opensearch-py",),
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "snowflake.connector": ("snowflake-connector-python",),
    "tavily": ("tavily-python",),
    "weaviate": ("weaviate-client",),
    "wikipediaapi": ("wikipedia-api",),
}

_OFTEN_BROUGHT: Mapping[str, tuple[str, ...]] = {
    **_of_azure("azure-ai-inference", "azure-ai-projects", "azure-storage-blob"),
    **_by_one_name("anthropic", "boto3", "cohere", "datasets", "evaluate", "groq", "langchain", "langchain-community"),
    **_by_one_name("langchain-core", "langchain-openai", "langchain-text-splitters", "langdetect", "langgraph"),
    **_by_one_name("langsmith", "litellm", "lxml", "matplotlib", "mistralai", "networkx", "nltk", "numpy", "ollama"),
    **_by_one_name("openpyxl", "pandas", "pdf2image", "pdfplumber", "playwright", "plotly", "pyarrow", "pymongo"),
    **_by_one_name("pypdf", "pytesseract", "rapidfuzz", "redis", "rouge-score", "scipy", "sentence-transformers"),
    **_by_one_name("spacy", "sqlalchemy", "statsmodels", "tabulate", "tenacity", "torch", "transformers", "xlsxwriter"),
    "PIL": ("pillow",),
    "bs4": ("beautifulsoup4", "bs4"),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "fitz": ("pymupdf",),
    "jwt": ("pyjwt", "jwt"),
    "llama_index": ("llama-index", "llama-index-core"),
    "pptx": ("python-pptx",),
    "sklearn": ("scikit-learn",),
    "slack_sdk": ("slack-sdk",),
}

DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {**_SELDOM_BROUGHT, **_OFTEN_BROUGHT}

OFTEN_BROUGHT = frozenset(name for names in _OFTEN_BROUGHT.values() for name in names)
"""Packages that others often require. Only a lock shows whether one of the flow's requirements does."""

OF_THE_FULL_SDK = frozenset(
    {
        *("azure-ai-ml", "azure-cosmos", "azure-storage-blob", "numpy", "pandas", "pillow", "pyjwt", "python-dotenv"),
        *("sqlalchemy", "tabulate"),
    }
)
"""Those of the names here that ``promptflow[azure]`` 1.18.5 brings along."""

LOADED_BY_OTHERS = frozenset(
    {
        *("chromadb", "docx2txt", "faiss-cpu", "faiss-gpu", "lancedb", "lxml", "matplotlib"),
        *("mysql-connector-python", "opencv-python", "opencv-python-headless", "openpyxl", "opensearch-py", "oracledb"),
        *("pdf2image", "pdfplumber", "playwright", "psycopg2", "psycopg2-binary", "pyarrow", "pymilvus", "pymssql"),
        *("pymupdf", "pymysql", "pyodbc", "pypdf", "pypdf2", "pytesseract", "python-docx", "python-pptx"),
        *("qdrant-client", "rank-bm25", "rapidfuzz", "redis", "rouge-score", "sacrebleu", "sentence-transformers"),
        *("snowflake-connector-python", "sqlalchemy", "tabulate", "tavily-python", "torch", "transformers"),
        *("weaviate-client", "wikipedia", "xlrd", "xlsxwriter"),
    }
)
"""Drivers, readers and backends that another package imports if they are installed, without requiring them."""
