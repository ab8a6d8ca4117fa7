import StrictInput

#if canImport(Glibc)
import Glibc
#endif

/// Line charts: lines as SVG that is stretched to the width there is, with strokes that are not, and all text as HTML
/// around it, so that it has one size at any width. Colours are CSS classes, so that a page can be light or dark.
struct Chart {
    enum Marker: Int, CaseIterable {
        case circle
        case square
        case ring
        case frame

        var isSquare: Bool { self == .square || self == .frame }
        var isHollow: Bool { self == .ring || self == .frame }
    }

    struct Series {
        var name: String
        var points: [(x: Double, y: Double)]
        /// Class of the line's colour.
        var style = "neutral"
        /// Classes of the markers' colours, one for each point; nil for the line's.
        var markerStyles: [String]?
        /// 0: drawn through; others: different kinds of broken lines.
        var dash = 0
        var marker: Marker?
        /// False where neighbours have nothing to do with each other.
        var isJoined = true
        /// From where to where repeated runs of a point went, one for each point; nil where there was one run.
        var intervals: [ClosedRange<Double>?]?
        /// What is to be known of each point before it is believed; nil for those that were plainly measured.
        var flags: [RunFlag?]?
    }

    /// A stretch of the horizontal axis that is set apart.
    struct Band {
        var range: ClosedRange<Double>
        var label: String
    }

    enum Axis {
        case linear
        case logarithmic
    }

    struct Tick {
        var position: Double
        var label: String
    }

    var title: String
    var xTitle: String
    var yTitle: String
    var yAxis = Axis.linear
    var xTicks: [Tick] = []
    var series: [Series]
    /// Vertical lines, numbered; what they are is listed below the chart.
    var marks: [Tick] = []
    var bands: [Band] = []
    /// What there is to be seen, in a sentence.
    var summary = ""
    /// Down to zero.
    var fillsArea = false
    var isWide = false

    /// Of the drawing, before it is stretched.
    private static let side = 1000.0

    private var xs: [Double] { series.flatMap { $0.points.map(\.x) } + xTicks.map(\.position) + marks.map(\.position) }
    private var ys: [Double] {
        series.flatMap {
            $0.points.map(\.y) + ($0.intervals ?? []).flatMap { $0.map { [$0.lowerBound, $0.upperBound] } ?? [] }
        }
    }

    func html() -> String {
        guard let xLow = xs.min(), let xHigh = xs.max(), let yMax = ys.max() else {
            return "<p class=\"muted\">nothing was measured</p>\n"
        }
        let ticks = yTicks(low: ys.min() ?? 0, high: yMax)
        let (yLow, yHigh) = (ticks.first?.position ?? 0, max(ticks.last?.position ?? 1, 1e-9))
        func x(_ value: Double) -> Double { xHigh > xLow ? (value - xLow) / (xHigh - xLow) : 0.5 }
        func y(_ value: Double) -> Double {
            yAxis == .linear
                ? (value - yLow) / max(1e-9, yHigh - yLow)
                : log10(max(value, yLow) / yLow) / max(1e-9, log10(yHigh / yLow))
        }
        let rows = markRows
        var out = "<div class=\"chart\(isWide ? " long" : "")\">\n"
        out +=
            "<div class=\"ytitle\">\(Markup.escape(yTitle))</div>\n<div class=\"plot\"\(rows > 0 ? " style=\"margin-top: \(rows * 16 + 6)px\"" : "")>\n"
        out +=
            "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"\(Markup.escape(title))\"><desc>\(Markup.escape(description))</desc>\n"
        for band in bands {
            let (left, right) = (x(band.range.lowerBound), x(band.range.upperBound))
            out +=
                "<path class=\"band\" d=\"M\(at(left)) 0H\(at(right))V1000H\(at(left))Z\"><title>\(Markup.escape(band.label))</title></path>"
        }
        for tick in ticks { out += line("grid", 0, 1, y(tick.position), y(tick.position)) }
        for mark in marks { out += line("mark", x(mark.position), x(mark.position), 0, 1) }
        out += line("axis", 0, 1, 0, 0) + "\n"
        for line in series where !line.points.isEmpty { out += draw(line, x, y) }
        out += "</svg>\n"
        for tick in ticks where !tick.label.isEmpty {
            out += "<span class=\"y\" style=\"bottom: \(percent(y(tick.position)))\">\(tick.label)</span>"
        }
        for (i, tick) in xTicks.enumerated() {
            // Every other one goes where there is no room for all.
            let isMinor = xTicks.count > 8 && !i.isMultiple(of: 2)
            out +=
                "<span class=\"x\(isMinor ? " minor" : "")\" style=\"left: \(percent(x(tick.position)))\">\(Markup.escape(tick.label))</span>"
        }
        for line in series {
            for (point, flag) in zip(line.points, line.flags ?? []) {
                guard let flag else { continue }
                out +=
                    "<b class=\"flag \(flag.style)\" style=\"left: \(percent(x(point.x))); bottom: \(percent(y(point.y)))\" title=\"\(Markup.escape(flag.text))\">\(flag.sign)</b>"
            }
        }
        for (i, mark) in marks.enumerated() {
            out +=
                "<b class=\"number\" style=\"left: \(percent(x(mark.position))); top: \(-16 * (i % rows + 1))px\">\(i + 1)</b>"
        }
        out += "\n</div>\n<div class=\"xtitle\">\(Markup.escape(xTitle))</div>\n</div>\n"
        guard !marks.isEmpty else { return out }
        let events = marks.enumerated().map { "<li><b class=\"number\">\($0 + 1)</b> \(Markup.escape($1.label))</li>" }
        return out + "<ul class=\"events\">\(events.joined())</ul>\n"
    }

    /// The names of the series, each with a sample of its line.
    func legend() -> String {
        let items = series.filter { !$0.points.isEmpty }.map { line in
            var sample = "<path class=\"line \(line.style)\(dashClass(line.dash))\" d=\"M1 5H29\"/>"
            if let marker = line.marker { sample += draw(marker, line.style, 15, 5, title: nil) }
            return "<span><svg viewBox=\"0 0 30 10\">\(sample)</svg>\(Markup.escape(line.name))</span>"
        }
        return items.count > 1 ? "<div class=\"legend\">\(items.joined())</div>\n" : ""
    }

    /// For whoever does not see it.
    private var description: String {
        let lines = series.filter { !$0.points.isEmpty }.map { line in
            let values = line.points.map(\.y)
            return "\(line.name): from \(n(values.first ?? 0)) to \(n(values.last ?? 0))"
        }
        return "\(yTitle) over \(xTitle). \(lines.prefix(24).joined(separator: "; "))"
    }

    /// Numbers of marks that are near each other stand above each other.
    private var markRows: Int {
        guard let low = xs.min(), let high = xs.max(), high > low, !marks.isEmpty else { return marks.isEmpty ? 0 : 1 }
        let places = marks.map { ($0.position - low) / (high - low) }.sorted()
        let nearest = zip(places, places.dropFirst()).map { $1 - $0 }.min() ?? 1
        return nearest >= 0.08 ? 1 : nearest >= 0.04 ? 2 : 3
    }

    // MARK: Drawing

    private func line(_ style: String, _ x1: Double, _ x2: Double, _ y1: Double, _ y2: Double) -> String {
        "<path class=\"\(style)\" d=\"M\(at(x1)) \(at(1 - y1))L\(at(x2)) \(at(1 - y2))\"/>"
    }

    private func draw(_ line: Series, _ x: (Double) -> Double, _ y: (Double) -> Double) -> String {
        var out = ""
        let places = line.points.map { (x: at(x($0.x)), y: at(1 - y($0.y))) }
        let path = places.map { "\($0.x) \($0.y)" }.joined(separator: "L")
        if fillsArea, let first = places.first, let last = places.last {
            out += "<path class=\"area \(line.style)\" d=\"M\(first.x) 1000L\(path)L\(last.x) 1000Z\"/>"
        }
        if places.count > 1, line.isJoined {
            out += "<path class=\"line \(line.style)\(dashClass(line.dash))\" d=\"M\(path)\"/>"
        }
        for (i, interval) in (line.intervals ?? []).enumerated() {
            guard let interval, i < places.count else { continue }
            let (top, bottom) = (at(1 - y(interval.upperBound)), at(1 - y(interval.lowerBound)))
            out +=
                "<path class=\"interval \(line.markerStyles?[i] ?? line.style)\" d=\"M\(places[i].x) \(bottom)V\(top)\"><title>\(n(interval.lowerBound)) to \(n(interval.upperBound))</title></path>"
        }
        if let marker = line.marker {
            for (i, point) in line.points.enumerated() {
                out += draw(
                    marker, line.markerStyles?[i] ?? line.style, places[i].x, places[i].y, title: tip(line, point))
            }
        }
        return out + "\n"
    }

    /// A stroke almost without length: its ends are not stretched. Without any, some printers leave out square ends.
    private func draw(
        _ marker: Marker, _ style: String, _ x: some CustomStringConvertible, _ y: some CustomStringConvertible,
        title: String?
    ) -> String {
        let end = marker.isSquare ? " square" : ""
        let tip = title.map { "<title>\(Markup.escape($0))</title>" } ?? ""
        return "<path class=\"dot\(end) \(style)\" d=\"M\(x) \(y)h.01\">\(tip)</path>"
            + (marker.isHollow ? "<path class=\"dot\(end) hole\" d=\"M\(x) \(y)h.01\">\(tip)</path>" : "")
    }

    private func tip(_ line: Series, _ point: (x: Double, y: Double)) -> String {
        let place = xTicks.first { $0.position == point.x }.map { "\(xTitle) \($0.label), " } ?? ""
        return "\(place)\(line.name): \(n(point.y))"
    }

    private func dashClass(_ dash: Int) -> String { dash == 0 ? "" : " dash\((dash - 1) % 3 + 1)" }
    private func at(_ share: Double) -> String { n((share * Self.side * 10).rounded() / 10) }
    private func percent(_ share: Double) -> String { "\(n(share * 100))%" }

    // MARK: Axes

    private func yTicks(low: Double, high: Double) -> [Tick] {
        switch yAxis {
        case .linear:
            let step = Self.niceStep(max(high, 1e-6) / 4)
            let count = max(1, Int((high / step).rounded(.up)))
            return (0...count).map { Tick(position: Double($0) * step, label: n(Double($0) * step)) }
        case .logarithmic:
            // Steps 1, 2, 5 around the data; only powers of ten where those would be too many.
            var all: [Double] = []
            var decade = 1e-6
            while decade < 1e9 {
                all += [decade, 2 * decade, 5 * decade]
                decade *= 10
            }
            let from = all.lastIndex { $0 <= max(low, 1e-6) } ?? 0
            let to = all.firstIndex { $0 >= high } ?? all.count - 1
            let inside = Array(all[from...max(from + 1, to)])
            let isSparse = inside.count <= 9
            return inside.enumerated().map { i, value in
                let shown =
                    isSparse || i == 0 || i == inside.count - 1 || abs(log10(value) - log10(value).rounded()) < 1e-6
                return Tick(position: value, label: shown ? n(value) : "")
            }
        }
    }

    static func niceStep(_ raw: Double) -> Double {
        let decade = pow(10, log10(raw).rounded(.down))
        let factor = raw / decade
        return (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10) * decade
    }

    /// A number as short as it can be.
    private func n(_ value: Double) -> String { HTML.number(value) }
}
