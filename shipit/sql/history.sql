-- Which build ran where, from when to when: a row for each deployment of a build in an Auto Scaling group.
-- Parameters: first day, last day, from (inclusive), to (exclusive). Who speaks is settled as in latest.sql.
WITH told AS (
  SELECT CASE WHEN "$path" LIKE '%.gz' THEN instance_id
              ELSE regexp_extract("$path", '^@pattern/day=[0-9-]{10}/[A-Z0-9]+:(i-[0-9a-f]+)-[0-9]+[.]json$', 1)
         END AS author,
         asg, running_build, nullif(deployment_id, '') AS deployment_id, reason, reported_at, seq, "$path" AS path
  FROM "@database"."@table"
  WHERE day BETWEEN ? AND ?
    AND reported_at >= ? AND reported_at < ?
), lasting AS (
  -- What an instance says holds until it says the next thing; a stop says no more than that.
  SELECT author, asg, running_build, deployment_id, reason, reported_at, seq, path,
         lead(reported_at) OVER (PARTITION BY author ORDER BY reported_at, seq, path) AS ended_at
  FROM told
  WHERE author <> ''
), compared AS (
  SELECT author, asg, running_build, deployment_id, reported_at, seq, path, ended_at,
         lag(running_build) OVER (PARTITION BY author ORDER BY reported_at, seq, path) AS previous_build
  FROM lasting
  WHERE reason <> 'stop' AND running_build <> ''
), numbered AS (
  -- Each change of an instance's build begins a turn: A, B and A again, by a rollback, are three.
  SELECT author, asg, running_build, deployment_id, reported_at, seq, path, ended_at,
         count_if(previous_build IS NULL OR previous_build <> running_build)
           OVER (PARTITION BY author ORDER BY reported_at, seq, path ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS turn
  FROM compared
), brought AS (
  -- A start need not know its deployment: it belongs to the one before it in its turn, else to the one that follows.
  SELECT author, asg, running_build, reported_at, seq, path, ended_at, turn,
         coalesce(
           last_value(deployment_id) IGNORE NULLS OVER (
             PARTITION BY author, turn ORDER BY reported_at, seq, path
             ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
           first_value(deployment_id) IGNORE NULLS OVER (
             PARTITION BY author, turn ORDER BY reported_at, seq, path
             ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
           '') AS deployment_id
  FROM numbered
), closing AS (
  -- A start is followed by a deploy, a worker may be restarted: only the last word of a run tells when that ended. And
  -- only the first word of a turn brings an instance to the build: who has it already counts where it got it.
  SELECT author, asg, running_build, deployment_id, reported_at, ended_at,
         lag(path) OVER (PARTITION BY author, turn, asg ORDER BY reported_at, seq, path) IS NULL AS opens,
         lead(path) OVER (PARTITION BY author, turn, asg, deployment_id ORDER BY reported_at, seq, path) IS NULL AS closes
  FROM brought
)
SELECT asg, running_build AS build, deployment_id,
       count(DISTINCT CASE WHEN opens THEN author END) AS instances,
       min(reported_at) AS since,
       max(CASE WHEN closes THEN ended_at END) AS until,
       count_if(ended_at IS NULL) AS unended
FROM closing
GROUP BY asg, running_build, deployment_id
ORDER BY since, asg, build, deployment_id
