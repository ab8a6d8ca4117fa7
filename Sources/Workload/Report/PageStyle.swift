/// What all pages look like: light or dark as the reader has it, on paper, and at any width.
enum PageStyle {
    static let css = """
        :root { color-scheme: light dark; --bg: #f7f8fa; --card: #ffffff; --text: #1c2330; --muted: #667085; --rule: #e4e7ec;
          --bad: #b91c1c; --good: #047857; --caution: #92400e; --link: #1d4ed8; --ink: #ffffff; }
        @media screen and (prefers-color-scheme: dark) { :root { --bg: #0f141c; --card: #171e29; --text: #e6eaf2; --muted: #93a0b5; --rule: #2a3444;
          --bad: #f87171; --good: #34d399; --caution: #fbbf24; --link: #8ab4ff; --ink: #10151d; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
        main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
        h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; } h2 { font-size: 16px; margin: 0 0 2px; }
        h1 + .headline { margin-top: 10px; } .headline { font-size: 19px; line-height: 1.45; max-width: 62em; text-wrap: pretty; }
        .headline + .muted { margin-top: 8px; max-width: 90ch; }
        .badge { display: inline-block; border: 1px solid; border-radius: 4px; padding: 1px 7px; margin: 6px 6px 0 0; font-size: 12px; font-weight: 600; }
        .badge.caution { color: var(--caution); } .badge.bad { color: var(--bad); }
        nav { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 14px 0 0; font-size: 13px; }
        a { color: var(--link); } a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
        .skip { position: absolute; left: -9999px; } .skip:focus { left: 12px; top: 8px; background: var(--card); padding: 6px 10px; }
        p { margin: 0; } .muted { color: var(--muted); font-size: 13px; }
        dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 14px; margin: 14px 0 0; font-size: 13px; }
        dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; } code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px; }
        pre { margin: 10px 0 0; font: 12px/1.6 ui-monospace, "DejaVu Sans Mono", monospace; overflow-x: auto; }
        .cards { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); margin-top: 16px; }
        .card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 18px 20px; min-width: 0; }
        .wide { margin-top: 16px; overflow-x: auto; } .lines { display: grid; gap: 16px; margin-top: 16px; }
        .facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 150px), 1fr)); gap: 16px; margin: 20px 0 12px; }
        .fact { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 12px 16px; }
        .fact b { display: block; font-size: 24px; font-weight: 650; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
        .fact span { color: var(--muted); font-size: 13px; }
        .neutral { --k: var(--muted); } .strong { --k: var(--text); }
        .chart { container-type: inline-size; margin-top: 10px; } .ytitle, .xtitle { color: var(--muted); font-size: 12px; }
        .xtitle { text-align: center; margin: 26px 14px 0 52px; }
        .plot { position: relative; height: 230px; margin: 10px 14px 0 52px; } .long .plot { height: 190px; }
        .plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
        .plot span { position: absolute; color: var(--muted); font-size: 12px; line-height: 1; white-space: nowrap; font-variant-numeric: tabular-nums; }
        .plot .y { right: 100%; margin-right: 8px; transform: translateY(50%); } .plot .x { top: 100%; margin-top: 8px; transform: translateX(-50%); }
        @container (max-width: 460px) { .plot .minor { display: none; } }
        path { vector-effect: non-scaling-stroke; }
        .grid { stroke: var(--rule); stroke-width: 1; } .axis { stroke: var(--muted); stroke-width: 1; }
        .line { fill: none; stroke: var(--k); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
        .dash1 { stroke-dasharray: 6 5; } .dash2 { stroke-dasharray: 1 5; } .dash3 { stroke-dasharray: 9 4 1 4; }
        .area { stroke: none; fill: var(--k); fill-opacity: 0.16; }
        .dot { stroke: var(--k); stroke-width: 9; stroke-linecap: round; } .square { stroke-linecap: square; stroke-width: 8; }
        .hole { stroke: var(--card); stroke-width: 4; } .mark { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 3 3; }
        .number { color: var(--bad); font-size: 11px; font-weight: 600; } .plot .number { position: absolute; transform: translateX(-50%); line-height: 1.2; }
        .events { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 8px 0 0; padding: 0; font-size: 13px; }
        .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 8px; font-size: 13px; color: var(--muted); }
        .legend span { display: inline-flex; align-items: center; gap: 6px; } .legend svg { width: 30px; height: 10px; flex: none; overflow: visible; }
        .legend span span { display: inline; }
        .chip { display: inline-block; width: 10px; height: 10px; border-radius: 3px; background: var(--k); margin-right: 6px; flex: none; } .legend .chip { margin: 0; }
        details { margin-top: 10px; font-size: 13px; } summary { cursor: pointer; color: var(--link); width: max-content; max-width: 100%; }
        .scroll { overflow-x: auto; } caption { text-align: left; color: var(--muted); font-size: 12px; padding: 6px 0 0; }
        th[scope=row] { color: inherit; font-weight: 400; }
        .interval { fill: none; stroke: var(--k); stroke-width: 2; } .band { fill: var(--muted); fill-opacity: 0.10; stroke: none; }
        .plot .flag { position: absolute; transform: translate(-50%, 50%); font-size: 15px; line-height: 1; font-weight: 700; margin-left: 13px; }
        .flag.bad { color: var(--bad); } .flag.caution { color: var(--caution); }
        .stack { display: grid; grid-template-columns: fit-content(32%) minmax(0, 1fr) max-content; gap: 8px 12px; align-items: center; margin-top: 12px; font-size: 13px; }
        .row { display: contents; } .stack b { font-weight: 500; text-align: right; font-variant-numeric: tabular-nums; }
        .bar { position: relative; height: 24px; } .bar svg { position: absolute; inset: 0; width: 100%; height: 100%; }
        .bar rect { fill: var(--k); stroke: var(--card); stroke-width: 2; vector-effect: non-scaling-stroke; }
        .bar span { position: absolute; top: 0; bottom: 0; overflow: hidden; text-align: center; line-height: 24px; font-size: 11px; color: var(--ink); white-space: nowrap; pointer-events: none; }
        .notes { margin: 10px 0 0; padding-left: 18px; font-size: 13px; } .notes .bad { font-weight: 400; } figure { margin: 0; } .prose p + p { margin-top: 8px; } .prose p { max-width: 90ch; }
        .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
        table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; margin-top: 10px; }
        th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
        th { color: var(--muted); font-weight: 500; } td.text, th.text { text-align: left; }
        .bars { display: grid; grid-template-columns: fit-content(45%) minmax(0, 1fr) max-content; gap: 6px 12px; align-items: center; margin-top: 12px; font-size: 13px; }
        .bars i { display: block; height: 14px; min-width: 1px; border-radius: 3px; background: var(--k); } .bars b { font-weight: 500; text-align: right; font-variant-numeric: tabular-nums; }
        @media (max-width: 520px) { main { padding: 20px 12px 40px; } .card { padding: 14px 14px; } .headline { font-size: 17px; } dl { grid-template-columns: minmax(0, 1fr); } dt { margin-top: 4px; }
          .stack { display: block; } .row { display: grid; grid-template-columns: minmax(0, 1fr) max-content; gap: 0 8px; margin-top: 8px; } .row .bar { grid-column: 1 / -1; order: 1; } }
        @media print { :root { color-scheme: light; --bg: #ffffff; --card: #ffffff; --text: #000000; --muted: #444444; --rule: #bbbbbb; }
          body, .muted, dl, .legend, .stack { font-size: 11px; } h1 { font-size: 20px; } .headline { font-size: 15px; } table { font-size: 9px; } th, td { padding: 3px 4px; white-space: normal; } .plot, .long .plot { height: 150px; } main { max-width: none; padding: 0; } nav, .skip, details.figures { display: none; }
          .card, .fact, figure { break-inside: avoid; } h2 { break-after: avoid; } .cards { grid-template-columns: 1fr 1fr; } * { print-color-adjust: exact; } }
        .good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
        """
}
