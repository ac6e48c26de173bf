-- One row per start, deploy and stop of a worker: few enough to keep for 400 days, and so in partitions of a day (UTC).
-- The columns are those of the reports.
CREATE EXTERNAL TABLE IF NOT EXISTS `@database`.`@table` (
  `schema_version` int,
  `instance_id` string,
  `asg` string,
  `queue` string,
  `az` string,
  `lifecycle` string,
  `deployment_id` string,
  `build` string,
  `git_sha` string,
  `digest` string,
  `running_build` string,
  `process_started_at` string,
  `reason` string,
  `seq` bigint,
  `reported_at` string
)
PARTITIONED BY (`day` string)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION '@location/'
TBLPROPERTIES (
  'classification' = 'json',
  'projection.enabled' = 'true',
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy-MM-dd',
  'projection.day.range' = 'NOW-400DAYS,NOW+1DAYS',
  'projection.day.interval' = '1',
  'projection.day.interval.unit' = 'DAYS',
  'storage.location.template' = '@location/day=${day}/'
)
