"""The gateways, one per AWS service: nothing outside sees AWS's dictionaries or botocore's exceptions."""
