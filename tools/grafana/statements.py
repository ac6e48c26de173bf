"""The SQL of the panels, for Athena (Trino) and for the sandbox's DuckDB alike.

Names that begin with `@` are filled in by the export; `$__rawTimeFrom` and `$__rawTimeTo` (quoted text) and
`$__timeTo` (a TIMESTAMP) by Grafana's Athena plugin, in UTC. Times are cut to slots and days wherever they
may be, so that a statement stays the same for an hour or a day, and Athena may answer it with the result that it has.
"""

from __future__ import annotations

#: Who wrote an object says its key, matched from the bucket on: the `*` of the instances' policy stands for slashes
#: too, so that an instance may write deeper keys that end in another's id. It cannot write `.gz` (docs/iam.md).
_REPORTER = "^@at-reports/slot=[0-9-]{13}/[A-Z0-9]+:(i-[0-9a-f]+)-[0-9]+[.]json$"
_HISTORIAN = "^@at-history/day=[0-9-]{10}/[A-Z0-9]+:(i-[0-9a-f]+)-[0-9]+[.]json$"

#: `ahead`: from an hour that has yet to come, by the reporter's clock; text that is no time mostly sorts there, too.
_REPORTS = f"""\
reports AS (
  SELECT CASE WHEN "$path" LIKE '%.gz' THEN instance_id
              ELSE regexp_extract("$path", '{_REPORTER}', 1) END AS instance,
         asg, queue, build, running_build, reason, reported_at, try(from_iso8601_timestamp(reported_at)) AS moment,
         replace(substr(reported_at, 1, 13), 'T', '-') > $__rawTimeTo('yyyy-MM-dd-HH') AS ahead, seq, "$path" AS path
  FROM @reports
  WHERE slot BETWEEN $__rawTimeFrom('yyyy-MM-dd-HH') AND $__rawTimeTo('yyyy-MM-dd-HH')
    AND (regexp_like("$path", '{_REPORTER}') OR ("$path" LIKE '%.gz' AND instance_id <> ''))
)"""

_NEWEST = f"""\
{_REPORTS},
ranked AS (
  -- One that says it comes from the future must not hide those that came after it.
  SELECT instance, asg, queue, build, running_build, reason, reported_at, moment, ahead,
         row_number() OVER (PARTITION BY instance ORDER BY ahead, reported_at DESC, seq DESC, path DESC) AS newness
  FROM reports
),
newest AS (
  SELECT instance, asg, queue, build, running_build, reported_at, moment, ahead
  FROM ranked
  WHERE newness = 1 AND coalesce(reason, '') <> 'stop'
)"""

#: Of each instance the last word within each step; `minute % step` needs no division, which engines disagree about.
#: The last step is left out: some instances have yet to report in it, and would seem gone.
FLEET_BY_BUILD = f"""\
WITH {_REPORTS},
stepped AS (
  SELECT instance, coalesce(nullif(running_build, ''), 'none') AS build, reported_at, seq, path,
         date_trunc('minute', moment) - (minute(moment) % @step) * INTERVAL '1' MINUTE AS step
  FROM reports
  WHERE coalesce(reason, '') <> 'stop' AND moment IS NOT NULL AND NOT ahead
),
ranked AS (
  SELECT instance, build, step, max(step) OVER () AS latest,
         row_number() OVER (PARTITION BY instance, step ORDER BY reported_at DESC, seq DESC, path DESC) AS newness
  FROM stepped
)
SELECT step AS time, build, count(*) AS instances
FROM ranked
WHERE newness = 1 AND step < latest
GROUP BY step, build
ORDER BY time, build
"""

#: What most instances run is what the others drift from: Athena knows no plan (`inv verify-versions` does).
DRIFT = f"""\
WITH {_NEWEST},
most AS (
  SELECT running_build
  FROM newest
  WHERE running_build <> ''
  GROUP BY running_build
  ORDER BY count(*) DESC, running_build DESC
  LIMIT 1
)
SELECT newest.asg, newest.queue, newest.instance, newest.running_build AS running, newest.build AS installed,
       CASE WHEN coalesce(newest.running_build, '') = '' THEN 'nothing runs'
            WHEN newest.running_build <> newest.build THEN 'restart needed'
            ELSE 'another build' END AS why,
       newest.reported_at AS last_report
FROM newest
CROSS JOIN most
WHERE coalesce(newest.running_build, '') <> most.running_build OR newest.running_build <> newest.build
ORDER BY newest.asg, newest.instance
"""

#: Silent, or gone without a word: only Auto Scaling knows which. A time that is none, or ahead, proves nothing.
QUIET = f"""\
WITH {_NEWEST}
SELECT asg, queue, instance, running_build AS running, reported_at AS last_report
FROM newest
WHERE moment IS NULL OR ahead OR moment < $__timeTo() - INTERVAL '@quiet' SECOND
ORDER BY reported_at, instance
"""

GROUPS = f"""\
WITH {_NEWEST}
SELECT asg, queue, coalesce(nullif(running_build, ''), 'none') AS build, count(*) AS instances,
       count_if(running_build IS DISTINCT FROM build) AS restart_needed,
       min(reported_at) AS oldest_report, max(reported_at) AS newest_report
FROM newest
GROUP BY asg, queue, coalesce(nullif(running_build, ''), 'none')
ORDER BY asg, instances DESC, build
"""

#: A launch is a deployment too, but of the build that its group had: only a change of build, or a first build that
#: several instances report, is a rollout. Changes to one build with less than an hour and no other build between them
#: are one, so that a rollback is another. The three days before the range say what a group had. Nobody measured
#: whether Athena prunes by a day that it must compute. (To DuckDB a date less an interval is a timestamp: hence the
#: cast.)
_ROLLOUTS = f"""\
WITH deployed AS (
  SELECT asg, deployment_id, build,
         CASE WHEN "$path" LIKE '%.gz' THEN instance_id
              ELSE regexp_extract("$path", '{_HISTORIAN}', 1) END AS instance,
         try(from_iso8601_timestamp(reported_at)) AS moment
  FROM @history
  WHERE day BETWEEN CAST(CAST(DATE $__rawTimeFrom('yyyy-MM-dd') - INTERVAL '3' DAY AS date) AS varchar)
                AND $__rawTimeTo('yyyy-MM-dd')
    AND reason = 'deploy' AND (regexp_like("$path", '{_HISTORIAN}') OR ("$path" LIKE '%.gz' AND instance_id <> ''))
),
deployments AS (
  SELECT asg, deployment_id, build, min(moment) AS first_report, max(moment) AS last_report,
         count(DISTINCT instance) AS instances
  FROM deployed
  WHERE moment IS NOT NULL
  GROUP BY asg, deployment_id, build
),
followed AS (
  SELECT asg, build, first_report, last_report, instances,
         lag(build) OVER (PARTITION BY asg ORDER BY first_report, deployment_id, build) AS earlier
  FROM deployments
),
changes AS (
  SELECT asg, build, first_report, last_report, instances,
         lag(build) OVER (ORDER BY first_report, asg, build) AS build_before,
         lag(last_report) OVER (ORDER BY first_report, asg, build) AS previous
  FROM followed
  WHERE earlier <> build OR (earlier IS NULL AND instances > 1)
),
numbered AS (
  SELECT asg, build, first_report, last_report, instances,
         sum(CASE WHEN build = build_before AND first_report < previous + INTERVAL '1' HOUR THEN 0 ELSE 1 END)
           OVER (ORDER BY first_report, asg, build) AS rollout
  FROM changes
)"""

ROLLOUTS = f"""\
{_ROLLOUTS}
SELECT build, min(first_report) AS first_instance, max(last_report) AS last_instance, count(*) AS asgs,
       sum(instances) AS instances
FROM numbered
GROUP BY build, rollout
ORDER BY first_instance DESC
LIMIT 50
"""

ROLLOUT_MARKS = f"""\
{_ROLLOUTS}
SELECT min(first_report) AS time, max(last_report) AS timeend, build AS text
FROM numbered
GROUP BY build, rollout
ORDER BY time
"""
