-- The newest report of each instance. Parameters: first slot, last slot, from (inclusive), to (exclusive).
-- Who wrote a report says its key, which the instance's policy lets it choose no further than docs/iam.md says, and not
-- its body. A `*` of that policy stands for slashes too: hence the whole path is matched, from the bucket on. Batches
-- (.gz) are Firehose's, no instance can write one. Reports of any other path share the author '', and one shows where.
-- The object's path settles what time and sequence leave open, so that the same objects give the same answer.
WITH told AS (
  SELECT CASE WHEN "$path" LIKE '%.gz' THEN coalesce(instance_id, '')
              ELSE coalesce(
                regexp_extract("$path", '^@pattern/slot=[0-9-]{13}/[A-Z0-9]+:(i-[0-9a-f]+)-[0-9]+[.]json$', 1), '')
         END AS author,
         asg, queue, build, running_build, digest, deployment_id, reason, reported_at, seq, "$path" AS path
  FROM "@database"."@table"
  WHERE slot BETWEEN ? AND ?
    AND reported_at >= ? AND reported_at < ?
), dated AS (
  SELECT author, asg, queue, build, running_build, digest, deployment_id, reason, reported_at, seq, path,
         max(reported_at) OVER (PARTITION BY author) AS newest
  FROM told
), ranked AS (
  -- The few that are left are put in order: to sort all of them takes an engine many times as long.
  SELECT author, asg, queue, build, running_build, digest, deployment_id, reason, reported_at, path,
         row_number() OVER (PARTITION BY author ORDER BY seq DESC, path DESC) AS place
  FROM dated
  WHERE reported_at = newest
)
SELECT author AS instance_id, asg, queue, build, running_build, digest, deployment_id, reason, reported_at,
       CASE WHEN author = '' THEN path END AS stray
FROM ranked
WHERE place = 1
ORDER BY asg, instance_id
