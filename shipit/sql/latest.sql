-- The newest report of each instance. Parameters: first slot, last slot, from (inclusive), to (exclusive).
-- The object's path settles what time and sequence leave open, so that the same objects give the same answer.
WITH ranked AS (
  SELECT instance_id, asg, queue, build, running_build, git_sha, digest, deployment_id, reason, reported_at,
         row_number() OVER (PARTITION BY instance_id ORDER BY reported_at DESC, seq DESC, "$path" DESC) AS newness
  FROM "@database"."@table"
  WHERE slot BETWEEN ? AND ?
    AND reported_at >= ? AND reported_at < ?
    AND instance_id <> ''
)
SELECT instance_id, asg, queue, build, running_build, git_sha, digest, deployment_id, reason, reported_at
FROM ranked
WHERE newness = 1
ORDER BY asg, instance_id
