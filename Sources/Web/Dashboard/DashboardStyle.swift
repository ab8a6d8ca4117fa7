/// Calm and dense. A state has a sign and a word beside its colour; nothing moves.
let dashboardStyle = #"""
    :root {
      color-scheme: light dark;
      --ground: #f4f6f8; --card: #ffffff; --ink: #18202c; --muted: #556070; --line: #d6dce4;
      --blue: #1b5bb8; --ok: #17703f; --warn: #8a5000; --bad: #b3221a; --violet: #7136a8;
      --ok-ground: #e6f4ec; --warn-ground: #fcf1dc; --bad-ground: #fde9e7; --wait-ground: #eaeef3;
      --heat: 27, 91, 184;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --ground: #0f1318; --card: #171c23; --ink: #e7ebf0; --muted: #a0abba; --line: #2e3742;
        --blue: #84b4ff; --ok: #63d296; --warn: #f2b84f; --bad: #ff9187; --violet: #c8a2ff;
        --ok-ground: #14291d; --warn-ground: #30250f; --bad-ground: #361917; --wait-ground: #212833;
        --heat: 132, 180, 255;
      }
    }
    * { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; }
    body {
      margin: 0; background: var(--ground); color: var(--ink);
      font: 14px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums;
    }
    h1 { font-size: 18px; margin: 0; } h2 { font-size: 14px; margin: 0 0 4px; } h3 { font-size: 13px; margin: 12px 0 4px; }
    p { margin: 0 0 8px; } a { color: var(--blue); }
    .muted { color: var(--muted); font-size: 12.5px; }
    .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
    .hidden {
      position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
      white-space: nowrap;
    }
    .skip { position: absolute; left: -9999px; }
    .skip:focus { left: 8px; top: 8px; z-index: 2; background: var(--card); padding: 6px 10px; }
    :focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
    main:focus { outline: none; }
    header, main, footer { max-width: 1400px; margin: 0 auto; padding: 0 16px; }
    header { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: baseline; justify-content: space-between;
      padding-top: 12px; padding-bottom: 8px; }
    .brand { display: flex; gap: 12px; align-items: baseline; } .brand p { margin: 0; }
    main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px; }
    section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px; min-width: 0; }
    .wide { grid-column: 1 / -1; }
    footer { padding-top: 12px; padding-bottom: 24px; }
    .chip, .banner { border-radius: 6px; border: 1px solid currentColor; }
    .chip { padding: 2px 10px; margin: 0; font-size: 12.5px; }
    .banner { padding: 8px 12px; font-weight: 600; }
    .banner.ok, .chip.ok { background: var(--ok-ground); } .banner.warn, .chip.warn { background: var(--warn-ground); }
    .banner.bad, .chip.bad { background: var(--bad-ground); }
    .banner.wait, .chip.wait { background: var(--wait-ground); color: var(--muted); }
    .ok { color: var(--ok); } .warn { color: var(--warn); } .bad { color: var(--bad); }
    .problems { margin: 8px 0 0; padding-left: 20px; } .problems:empty { display: none; }
    .tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(116px, 1fr)); gap: 8px 16px; margin: 0; }
    .tiles div { border-left: 3px solid var(--line); padding-left: 8px; }
    .tiles dt { color: var(--muted); font-size: 12px; } .tiles dd { margin: 0; font-size: 19px; font-weight: 600; }
    .tiles dd small { font-size: 12px; font-weight: 400; color: var(--muted); }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; }
    th, td { text-align: left; padding: 4px 8px; border-bottom: 1px solid var(--line); vertical-align: top; }
    thead th { color: var(--muted); font-weight: 600; font-size: 12px; white-space: nowrap; }
    tbody tr:last-child > * { border-bottom: 0; }
    tbody th { font-weight: 600; } .num { text-align: right; white-space: nowrap; }
    .grid td, .grid th { min-width: 118px; border-right: 1px solid var(--line); }
    .grid tr > :last-child { border-right: 0; }
    .sub { display: block; color: var(--muted); font-size: 12px; font-weight: 400; }
    #hosts td, #spans th, #spans td, #recent td, #doubts td, #records td { white-space: nowrap; }
    .grid td.bad { background: var(--bad-ground); } .grid td.warn { background: var(--warn-ground); }
    .grid td .sub { overflow-wrap: anywhere; } .grid td.bad .sub, .grid td.warn .sub { color: var(--ink); }
    .heat td { text-align: right; } .heat { width: auto; }
    .heat td, .heat th { padding: 4px 10px; border: 1px solid var(--line); }
    .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 12px 24px; }
    .legend { margin: 8px 0 0; } .chart { width: 100%; min-height: 170px; }
    svg { display: block; } svg text { font-size: 11px; fill: var(--muted); }
    .axis { stroke: var(--line); stroke-width: 1; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
    .c-ok { stroke: var(--ok); } .c-warn { stroke: var(--warn); } .c-bad { stroke: var(--bad); }
    .c-blue { stroke: var(--blue); } .c-violet { stroke: var(--violet); }
    .key { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 4px 0 0; padding: 0; list-style: none; font-size: 12px; }
    .key svg { display: inline-block; vertical-align: middle; margin-right: 5px; }
    #waterfall-text { overflow-wrap: anywhere; }
    form { margin-bottom: 8px; } label { display: block; font-size: 12.5px; color: var(--muted); }
    .row { display: flex; gap: 8px; max-width: 720px; }
    input { flex: 1; min-width: 0; padding: 5px 8px; border: 1px solid var(--muted); border-radius: 5px;
      background: var(--card); color: var(--ink); }
    button { padding: 5px 12px; border: 1px solid var(--blue); border-radius: 5px; background: var(--card);
      color: var(--blue); font: inherit; cursor: pointer; }
    td button { padding: 0 6px; font-size: 12.5px; }
    .barcol { width: 55%; min-width: 110px; } .track { position: relative; height: 14px; }
    .bar { position: absolute; top: 2px; height: 10px; min-width: 2px; background: var(--blue); border-radius: 2px; }
    .stale section { border-style: dashed; border-color: var(--muted); }
    @media (max-width: 860px) { main { grid-template-columns: minmax(0, 1fr); } }
    @media (max-width: 480px) {
      header, main, footer { padding-left: 8px; padding-right: 8px; } section { padding: 10px 8px; }
      th, td { padding: 4px 5px; } .grid td, .grid th { min-width: 104px; }
    }
    @media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
    @media (forced-colors: active) { .bar { background: CanvasText; } .heat td { forced-color-adjust: none; } }
    """#
