"""The gateways of `inv setup.reports` alone: what a deployer needs no right to do."""
