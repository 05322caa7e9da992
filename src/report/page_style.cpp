#include "report/page.h"
#include "report/palette.h"

namespace safetylock::report {
namespace {

// One accent, for the lock; everything else is ink on paper. Grey means unlocked, outlined means base.
constexpr const char* kColours = R"css(:root{
--paper:#ffffff;--panel:#f6f7f8;--ink:#1a1f26;--muted:#59626d;--rule:#d9dde2;--grid:#e6e9ec;
--lock:#b3440f;--lock-soft:#f9e6db;--free:#79838f;--base:#ffffff;--base-edge:#59626d;
--safe:#2b62ad;--unsafe:#8a929c;--allowed:#eaf3ec;--limit:#3c7a4c;--whisker:#1a1f26;--mark:#c2410c;
--warn:#fff4d6;--warn-edge:#a06a00}
)css";

constexpr const char* kDarkColours = R"css(@media screen and (prefers-color-scheme:dark){:root{
--paper:#11151a;--panel:#191f26;--ink:#e8ebee;--muted:#a3adb8;--rule:#333c46;--grid:#27303a;
--lock:#f59058;--lock-soft:#41261a;--free:#7d8894;--base:#11151a;--base-edge:#a3adb8;
--safe:#7db2f5;--unsafe:#8c959f;--allowed:#17281d;--limit:#6fba84;--whisker:#e8ebee;--mark:#ff9a5c;
--warn:#3a2f12;--warn-edge:#e0b04a}
)css";

constexpr const char* kText = R"css(*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:72rem;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem;letter-spacing:-.01em}
h2{font-size:1.3rem;line-height:1.25;margin:3rem 0 1rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;line-height:1.35;margin:0 0 .35rem}
section>h3{margin:1.5rem 0 .35rem}
p,ul,dl{margin:.5rem 0;max-width:46rem}
h1,p,dd,summary{overflow-x:clip}
ul{overflow-x:clip}
ul{padding-left:1.2rem}
.subject,.key,.limits,.facts,figcaption,caption,.beside{color:var(--muted)}
.subject b{font-weight:600;color:var(--ink)}
.limits,.key,figcaption,caption{font-size:.875rem}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin-top:.75rem;font-size:.875rem}
a{color:inherit;text-decoration-color:var(--lock);text-underline-offset:.2em}
code{font:.875em/1.5 ui-monospace,"DejaVu Sans Mono",monospace;background:var(--panel);padding:.1em .35em;border-radius:3px}
.headlines{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));gap:1rem 2rem;max-width:none;
margin:0 0 1.25rem}
.headline{border-left:3px solid var(--lock);padding-left:.85rem}
.headline dt{color:var(--muted);font-size:.9rem}
.headline dd{margin:0}
.before,.arrow{color:var(--muted);font-size:1.4rem}
.after{font-size:2rem;font-weight:650;line-height:1.15}
.interval{color:var(--muted);font-size:.95rem}
.beside{font-size:.875rem}
.verdict{font-size:1.1rem}
.warnings{background:var(--warn);border-left:3px solid var(--warn-edge);list-style:none;padding:.6rem .85rem;max-width:none}
.missing{background:var(--panel);padding:.75rem 1rem;max-width:none;border-radius:4px}
)css";

constexpr const char* kFigures =
    R"css(.figures{display:flex;flex-wrap:wrap;gap:1.75rem 2.25rem;margin:1rem 0 1.5rem}
figure{margin:0;min-width:0;max-width:100%}
.figures>figure,.words{width:328px}
.figures.large>figure{width:26rem}
.figures.large svg,.multiples svg{width:100%;height:auto}
.words p:first-child{margin-top:0}
.two,.split{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:0 3rem}
.two>div>:first-child{margin-top:0}
.split{gap:1.75rem 3rem;margin-top:2rem;grid-template-columns:minmax(0,1fr)}
.tables{display:flex;flex-wrap:wrap;gap:0 4rem}
@media (min-width:64rem){.split{grid-template-columns:minmax(0,1fr) 328px}}
.figures>figure:has(.broad){width:auto}
figcaption{margin-top:.4rem;max-width:42rem}
.multiples{display:grid;grid-template-columns:repeat(auto-fill,minmax(248px,1fr));gap:1.25rem 1rem;margin:.5rem 0 1rem}
.legend{font-size:.875rem;color:var(--muted)}
.swatch{display:inline-block;width:1.4em;height:.8em;margin:0 .4em 0 0;vertical-align:-.05em}
.swatch+.swatch,.unsafe-swatch{margin-left:1em}
.safe-swatch{background:color-mix(in srgb,var(--safe) 30%,transparent);border-top:2px solid var(--safe)}
.unsafe-swatch{background:color-mix(in srgb,var(--unsafe) 25%,transparent);border-top:2px dashed var(--unsafe)}
svg{display:block;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.chart{max-width:100%;height:auto}
.chart.heat{max-width:none}
svg text{fill:var(--ink)}
svg .tick,svg .axis{fill:var(--muted);font-size:11.5px}
svg .name{font-weight:600}
svg .label{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
svg .label.locked{fill:var(--lock);font-weight:600}
.grid{stroke:var(--grid)}
.zero{stroke:var(--muted)}
.whisker{stroke:var(--whisker);stroke-width:1.25}
.halo{stroke:var(--paper);stroke-width:4;opacity:.75}
.bar.base{fill:var(--base);stroke:var(--base-edge)}
.bar.unlocked,.bar.all{fill:var(--free)}
.bar.locked{fill:var(--lock)}
.dot{stroke:var(--paper);stroke-width:1.5}
.dot.base{fill:var(--base);stroke:var(--base-edge)}
.dot.unlocked{fill:var(--free)}
.dot.setting{fill:var(--muted)}
.dot.locked{fill:var(--lock)}
.mark,.mark-halo{fill:none;stroke:var(--mark);stroke-width:2;pointer-events:none}
.mark-halo{stroke:var(--paper);stroke-width:4}
.rug{stroke:var(--lock);stroke-width:1.5}
.curve{fill:none;stroke:var(--free);stroke-width:1.25}
.curve.locked{stroke:var(--lock);stroke-width:2}
.leader{stroke:var(--free);stroke-dasharray:1 3}
.allowed{fill:var(--allowed)}
.limit{stroke:var(--limit);stroke-dasharray:5 3}
.safe-line,.unsafe-line{fill:none;stroke-width:1.5}
.safe-line{stroke:var(--safe)}
.unsafe-line{stroke:var(--unsafe);stroke-dasharray:4 2}
.safe-area{fill:var(--safe);opacity:.3}
.unsafe-area{fill:var(--unsafe);opacity:.25}
)css";

constexpr const char* kTables = R"css(.scroll{overflow-x:auto;margin:1rem 0;max-width:100%}
figure .scroll{margin:0}
table{border-collapse:collapse;font-size:.9rem}
caption{text-align:left;padding-bottom:.35rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .95rem .3rem 0;border-bottom:1px solid var(--rule);
white-space:nowrap;overflow-wrap:normal}
.texts th,.texts td{white-space:normal;overflow-wrap:anywhere;min-width:7rem}
th{font-weight:600}
tbody th{font-weight:400}
thead th{color:var(--muted);font-weight:500}
details{margin:.25rem 0}
summary{cursor:pointer;padding:.35rem 0}
.answer{border-top:1px solid var(--rule);padding:.75rem 0;break-inside:avoid}
.prompt{font-weight:600;white-space:pre-wrap;margin:0 0 .5rem}
.replies{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));gap:.75rem 1.5rem}
.reply{min-width:0;overflow:hidden}
.reply p{margin:0}
.head{font-size:.875rem}
.text{white-space:pre-wrap;font-size:.925rem;max-height:24rem;overflow:auto}
.nothing{color:var(--muted)}
.who{font-weight:600}
.who.locked{color:var(--lock)}
.outcome{border:1px solid var(--rule);border-radius:1em;padding:0 .6em;margin-left:.25em}
.outcome.degenerate{border-style:dashed;border-color:var(--muted)}
.outcome.refused{background:var(--panel)}
.facts{margin-left:.35em;font-size:.875rem}
@media (max-width:30rem){table{font-size:.85rem}th,td{padding-right:.7rem}.verdict{font-size:1rem}}
:focus-visible{outline:2px solid var(--lock);outline-offset:2px}
@media print{html{font-size:10pt}body{max-width:none;padding:0}.multiples{grid-template-columns:repeat(3,1fr)}nav{display:none}h2{break-after:avoid;margin-top:1.5rem}
figure,.headline,tr{break-inside:avoid}.scroll{overflow:visible}.figures.large>figure{width:328px}
table{font-size:7.5pt}th,td{white-space:normal;padding-right:.5rem}
section:not(#answers) details::details-content{content-visibility:visible;block-size:auto}
.text{max-height:none;overflow:visible}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)css";

std::string heat_rules(Ground ground) {
  std::string rules;
  const auto colours = heat_colours(ground);
  for (size_t i = 0; i < colours.size(); ++i) rules += ".h" + std::to_string(i) + "{fill:" + colours[i] + "}";
  return rules + "\n";
}

}  // namespace

std::string page_style() {
  return std::string(kColours) + heat_rules(Ground::light) + kDarkColours + heat_rules(Ground::dark) + "}\n" +
         kText + kFigures + kTables;
}

}  // namespace safetylock::report
