enum HTML {
    static func escape(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.append(character)
            }
        }
        return out
    }

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

    static let style = """
        :root { color-scheme: light dark; --bg: #f7f8fa; --card: #ffffff; --text: #1c2330; --muted: #667085; --rule: #e4e7ec;
          --c0: #2563eb; --c1: #ea580c; --c2: #059669; --c3: #9333ea; --c4: #db2777; --c5: #0891b2; --bad: #dc2626; --good: #059669; }
        @media (prefers-color-scheme: dark) { :root { --bg: #0f141c; --card: #171e29; --text: #e6eaf2; --muted: #93a0b5; --rule: #2a3444;
          --c0: #60a5fa; --c1: #fb923c; --c2: #34d399; --c3: #c084fc; --c4: #f472b6; --c5: #22d3ee; --bad: #f87171; --good: #34d399; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
        main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
        h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; } h2 { font-size: 16px; margin: 0 0 2px; }
        p { margin: 0; } .muted { color: var(--muted); font-size: 13px; }
        .cards { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); margin-top: 16px; }
        .card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 18px 20px; min-width: 0; }
        .wide { margin-top: 16px; overflow-x: auto; }
        .facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 16px; margin-top: 20px; }
        .fact { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 12px 16px; }
        .fact b { display: block; font-size: 24px; font-weight: 650; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
        .fact span { color: var(--muted); font-size: 13px; }
        svg { display: block; width: 100%; height: auto; margin-top: 8px; }
        .grid { stroke: var(--rule); stroke-width: 1; } .axis { stroke: var(--muted); stroke-width: 1; }
        .tick { fill: var(--muted); font-size: 11px; font-variant-numeric: tabular-nums; } .label { fill: var(--muted); font-size: 12px; }
        .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; } .dashed { stroke-dasharray: 5 5; }
        .area { stroke: none; fill-opacity: 0.16; } .hollow { fill: var(--card) !important; stroke-width: 2; }
        .mark { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 3 3; }
        .line.s0, .hollow.s0 { stroke: var(--c0); } .dot.s0, .area.s0 { fill: var(--c0); }
        .line.s1, .hollow.s1 { stroke: var(--c1); } .dot.s1, .area.s1 { fill: var(--c1); }
        .line.s2, .hollow.s2 { stroke: var(--c2); } .dot.s2, .area.s2 { fill: var(--c2); }
        .line.s3, .hollow.s3 { stroke: var(--c3); } .dot.s3, .area.s3 { fill: var(--c3); }
        .line.s4, .hollow.s4 { stroke: var(--c4); } .dot.s4, .area.s4 { fill: var(--c4); }
        .line.s5, .hollow.s5 { stroke: var(--c5); } .dot.s5, .area.s5 { fill: var(--c5); }
        .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 8px; font-size: 13px; color: var(--muted); }
        .legend span { display: inline-flex; align-items: center; gap: 6px; white-space: nowrap; } .legend svg { width: 26px; margin: 0; flex: none; }
        table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; margin-top: 10px; }
        th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
        th { color: var(--muted); font-weight: 500; } td.text, th.text { text-align: left; } tr.group td { border-top: 1px solid var(--muted); }
        .good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
        """
}
