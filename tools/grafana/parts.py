"""What the dashboards are put together from: queries of both data sources, panels, variables.

Names that begin with `@` are filled in by the export (shipit/dashboards).
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import athena, cloudwatch, common, dashboard, stat, table, timeseries
from grafana_foundation_sdk.models import athena as athena_models
from grafana_foundation_sdk.models import cloudwatch as cloudwatch_models
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

ATHENA = common_models.DataSourceRef(type_val="grafana-athena-datasource", uid="@key-athena")
CLOUDWATCH_UID = "@key-cloudwatch"
CLOUDWATCH = common_models.DataSourceRef(type_val="cloudwatch", uid=CLOUDWATCH_UID)
#: Whole lists of the environment; the export makes several queries of one where a search would grow too long.
QUEUES, ASGS, DEAD_LETTERS = "@queues", "@asgs", "@dead-letters"


def board(title: str, key: str, about: str, *, beside: tuple[str, str]) -> dashboard.Dashboard:
    """Return a dashboard of the environment without a panel; `beside` is the other one's title and key."""
    link = dashboard.DashboardLink(beside[0]).type(models.DashboardLinkType.LINK)
    made = dashboard.Dashboard(f"{title} (@environment)").uid(f"@key-{key}")
    made = made.description(f"{about} Written by inv dashboards.export.").tags(["shipit", "@environment"])
    made = made.timezone("utc").time("now-6h", "now").refresh("5m").readonly()
    made = made.tooltip(models.DashboardCursorSync.CROSSHAIR)
    return made.link(link.url(f"/d/@key-{beside[1]}").keep_time(True))


def rows(sql: str, *, series: bool = False, reuse: int = 5) -> athena.Dataquery:
    """Return a query of Athena, as a table or as time series; for `reuse` minutes its result answers it again."""
    arguments = athena.ConnectionArgs().region("__default").catalog("__default").database("__default")
    arguments = arguments.result_reuse_enabled(reuse > 0).result_reuse_max_age_in_minutes(reuse)
    shape = athena_models.FormatOptions.TIME_SERIES if series else athena_models.FormatOptions.TABLE
    return athena.Dataquery().ref_id("A").datasource(ATHENA).format(shape).connection_args(arguments).raw_sql(sql)


def metric(
    name: str,
    *,
    namespace: str,
    by: dict[str, str],
    statistic: str,
    label: str,
    ref: str = "A",
    period: str = "auto",
) -> cloudwatch.MetricsQuery:
    """Return a query of CloudWatch for exactly these dimensions: a value, `*`, a variable or one of the lists."""
    dimensions: dict[str, str | list[str]] = dict(by)
    query = cloudwatch.MetricsQuery().ref_id(ref).id("").datasource(CLOUDWATCH)
    query = query.query_mode(cloudwatch_models.QueryMode.METRICS)
    query = query.metric_query_type(cloudwatch_models.MetricQueryType.SEARCH)
    query = query.metric_editor_mode(cloudwatch_models.MetricEditorMode.BUILDER)
    query = query.region("default").namespace(namespace).metric_name(name).dimensions(dimensions)
    return query.match_exact(True).statistic(statistic).period(period).label(label)


def curves(
    title: str,
    about: str,
    *,
    unit: str = "short",
    span: int = 12,
    source: common_models.DataSourceRef = CLOUDWATCH,
) -> timeseries.Panel:
    """Return a panel of lines over time, from zero."""
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST).show_legend(True)
    legend = legend.placement(common_models.LegendPlacement.BOTTOM).calcs([])
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    tooltip = tooltip.sort(common_models.SortOrder.DESCENDING)
    # A state, a queue or a build has one colour wherever it is shown. (Colours by name would be overrides, which the
    # schema of Grafana's SDK does not allow to match by text.)
    palette = dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    panel = timeseries.Panel().title(title).description(about).datasource(source).unit(unit).min(0)
    panel = panel.color_scheme(palette)
    return panel.legend(legend).tooltip(tooltip).line_width(1).fill_opacity(10).span(span).height(8)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Let the areas of a panel stand on each other."""
    stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    return panel.stacking(stacking).fill_opacity(60)


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw a panel's values as bars, one upon another: for what happens rather than lasts."""
    return stacked(panel).draw_style(common_models.GraphDrawStyle.BARS).line_width(0)


def grid(title: str, about: str, *, span: int = 12) -> table.Panel:
    """Return a table of Athena's rows, which the reader may filter."""
    return table.Panel().title(title).description(about).datasource(ATHENA).filterable(True).span(span).height(8)


def number(title: str, about: str, *, bad_from: float | None = None, span: int = 4) -> stat.Panel:
    """Return one figure, the last; red from `bad_from` on."""
    steps = [models.Threshold(value=None, color="green" if bad_from is not None else "text")]
    if bad_from is not None:
        steps.append(models.Threshold(value=bad_from, color="red"))
    thresholds = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = stat.Panel().title(title).description(about).datasource(CLOUDWATCH).thresholds(thresholds)
    return panel.reduce_options(reduced).no_value("none").span(span).height(8)


def row(board: dashboard.Dashboard, title: str, *panels: timeseries.Panel | table.Panel | stat.Panel) -> None:
    """Add a row of panels below what is there; ids are numbers in the order of the panels."""
    board.with_row(dashboard.Row(title).id(_next_id(board)))
    for panel in panels:
        board.with_panel(panel.id(_next_id(board)))


def _next_id(board: dashboard.Dashboard) -> int:
    return len(board.build().panels or ()) + 1
