"""shipit: one rollout over all your CodeDeploy groups, planned, watched and proved."""

__version__ = "0.1.0"
