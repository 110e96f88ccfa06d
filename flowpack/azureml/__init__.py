"""Azure Machine Learning: a flow as a model version, in a workspace or in a folder of this machine."""
