"""The page's CSS. Colours are never the only sign: each bar has a texture, each word a mark before it."""

CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2127; --dim: #5b6570; --line: #d9dee4; --box: #f5f7f9;
  --good: #17713a; --bad: #b3261e; --warn: #8a5a00; --live: #1f5fb0; --idle: #5b6570; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e4e8ec; --dim: #9aa5b1; --line: #323a44; --box: #1c2229;
    --good: #5cc98a; --bad: #ff8a80; --warn: #e8b04a; --live: #7fb2f0; --idle: #9aa5b1; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; line-height: 1.3; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 32px 0 8px; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
h3 { font-size: 15px; margin: 16px 0 4px; overflow-wrap: anywhere; }
p { margin: 4px 0; overflow-wrap: anywhere; }
code, pre { font: 13px/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.dim, footer { color: var(--dim); }
footer { margin-top: 32px; font-size: 13px; }
.note { border-left: 4px solid var(--warn); padding: 4px 12px; background: var(--box); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 12px 0 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .warn { --tone: var(--warn); }
.live { --tone: var(--live); } .idle { --tone: var(--idle); }
.tone { color: var(--tone); white-space: nowrap; }
.badge { color: var(--paper); background: var(--tone); border-radius: 4px; padding: 1px 10px; white-space: nowrap;
  font-size: 19px; vertical-align: 2px; }
.failure { border-left: 4px solid var(--tone); background: var(--box); padding: 8px 14px; margin: 10px 0; }
.failure h3 { margin-top: 0; } .failure pre { margin: 8px 0; padding: 8px 10px; background: var(--paper);
  border: 1px solid var(--line); white-space: pre-wrap; max-height: 30em; overflow: auto; }
.failure ul { margin: 4px 0; padding-left: 20px; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; }
.key { display: inline-block; width: 22px; height: 10px; margin-right: 6px; border-radius: 2px; }
.gantt { display: grid; grid-template-columns: 210px 1fr 165px; gap: 0 10px; align-items: center;
  font-size: 13px; line-height: 18px; margin: 6px 0; }
.gantt .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { position: relative; height: 18px;
  background-image: linear-gradient(to right, var(--line) 1px, transparent 1px);
  background-repeat: repeat-x; }
.axis { position: relative; height: 18px; font-size: 12px; color: var(--dim); }
.axis span { position: absolute; white-space: nowrap; border-left: 1px solid var(--line); padding-left: 3px; }
.bar { position: absolute; top: 3px; height: 12px; min-width: 3px; border-radius: 2px; }
.bar.good, .bar.bad, .bar.warn, .bar.live, .bar.idle, .key { background-color: var(--tone); }
.bar.bad, .key.bad { background-image: repeating-linear-gradient(45deg, transparent 0 4px, var(--paper) 4px 6px); }
.bar.warn, .key.warn { background-image: repeating-linear-gradient(90deg, transparent 0 5px, var(--paper) 5px 7px); }
.bar.live, .key.live { background: transparent; border: 2px dashed var(--tone); }
.bar.idle, .key.idle { background: transparent; border: 1px solid var(--tone); }
.bar.again, .key.again { box-shadow: 0 0 0 1px var(--paper), 0 0 0 3px var(--warn); }
.bar.wave-bar { background: var(--dim); top: 6px; height: 5px; }
.bar.proof { top: 6px; height: 5px; } .bar.bake { top: 6px; height: 5px; }
.proof { background: repeating-linear-gradient(90deg, var(--live) 0 2px, transparent 2px 4px); }
.bake { background: transparent; border-bottom: 2px dotted var(--dim); border-radius: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin: 8px 0; }
th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 600; } td.number { text-align: right; white-space: nowrap; }
td code { font-size: 12px; white-space: nowrap; }
.key.again { background: var(--box); margin: 0 9px 0 3px; }
@media (max-width: 600px) {
  main { padding: 12px; }
  .gantt { grid-template-columns: 90px 1fr 90px; }
  .gantt .tone { white-space: normal; }
}
@media print {
  main { max-width: none; padding: 0; } body { font-size: 12px; }
  .bar, .key, .track, .badge, .failure, .note { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .failure pre { max-height: none; } .failure, tr, .gantt > * { break-inside: avoid; } h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
