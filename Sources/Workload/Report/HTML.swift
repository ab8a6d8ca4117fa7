import StrictInput

enum HTML {
    /// At most three digits after the point, none that are zero.
    static func number(_ value: Double) -> String {
        var text = decimal(value, abs(value) >= 100 ? 1 : 3)
        while text.contains("."), text.last == "0" || text.last == "." {
            let wasPoint = text.removeLast() == "."
            if wasPoint { break }
        }
        return text
    }

    /// 12345 as "12,345".
    static func grouped(_ value: Int) -> String {
        var out = ""
        for (i, digit) in String(abs(value)).reversed().enumerated() {
            if i > 0, i.isMultiple(of: 3) { out.append(",") }
            out.append(digit)
        }
        return (value < 0 ? "-" : "") + String(out.reversed())
    }

    /// - Parameters:
    ///   - provenance: for the head.
    ///   - css: beside what all pages have.
    static func page(title: String, subtitle: String, provenance: Provenance?, css: String, body: String) -> String {
        var page =
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        page += "<title>\(Markup.escape(title))</title>\n<style>\n\(style)\n\(css)\n</style></head>\n<body><main>\n"
        page += "<h1>\(Markup.escape(title))</h1>\n<p class=\"muted\">\(Markup.escape(subtitle))</p>\n"
        if let provenance {
            let facts = [
                ("date", Markup.escape(provenance.date)), ("version", "quorate \(Markup.escape(provenance.version))"),
                ("command", "<code>\(Markup.escape(provenance.command))</code>"),
                ("machine", Markup.escape(provenance.machine)),
            ]
            page += "<dl>" + facts.map { "<dt>\($0)</dt><dd>\($1)</dd>" }.joined() + "</dl>\n"
        }
        return page + body + "</main></body></html>\n"
    }

    private static let style = """
        :root { color-scheme: light dark; --bg: #f7f8fa; --card: #ffffff; --text: #1c2330; --muted: #667085; --rule: #e4e7ec;
          --bad: #dc2626; --good: #059669; }
        @media (prefers-color-scheme: dark) { :root { --bg: #0f141c; --card: #171e29; --text: #e6eaf2; --muted: #93a0b5; --rule: #2a3444;
          --bad: #f87171; --good: #34d399; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
        main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
        h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; } h2 { font-size: 16px; margin: 0 0 2px; }
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
        .chip { display: inline-block; width: 10px; height: 10px; border-radius: 3px; background: var(--k); margin-right: 6px; flex: none; } .legend .chip { margin: 0; }
        table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; margin-top: 10px; }
        th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
        th { color: var(--muted); font-weight: 500; } td.text, th.text { text-align: left; }
        .bars { display: grid; grid-template-columns: fit-content(45%) minmax(0, 1fr) max-content; gap: 6px 12px; align-items: center; margin-top: 12px; font-size: 13px; }
        .bars i { display: block; height: 14px; min-width: 1px; border-radius: 3px; background: var(--k); } .bars b { font-weight: 500; text-align: right; font-variant-numeric: tabular-nums; }
        .good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
        """
}
