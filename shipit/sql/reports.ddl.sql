-- One row per report of an instance. Slots are hours in UTC, projected rather than listed, so no partition is ever
-- added by hand. Hive's JSON SerDe, not OpenX's, which may drop rows: a lost row would read as a silent instance.
CREATE DATABASE IF NOT EXISTS `@database`;

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
PARTITIONED BY (`slot` string)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION '@location/'
TBLPROPERTIES (
  'classification' = 'json',
  'projection.enabled' = 'true',
  'projection.slot.type' = 'date',
  'projection.slot.format' = 'yyyy-MM-dd-HH',
  'projection.slot.range' = 'NOW-7DAYS,NOW+1HOURS',
  'projection.slot.interval' = '1',
  'projection.slot.interval.unit' = 'HOURS',
  'storage.location.template' = '@location/slot=${slot}/'
)
