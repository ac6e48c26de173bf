"""A small Celery application on SQS: what shipit's first deployment carries."""
