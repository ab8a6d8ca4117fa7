#if canImport(Glibc)
import Glibc
#endif

/// Line and bar charts as inline SVG. Colours are CSS classes (`s0` … `s5`), so that a page can be light or dark.
struct Chart {
    struct Series {
        var name: String
        /// Index of its colour.
        var colour: Int
        var points: [(x: Double, y: Double)]
        var isDashed = false
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
    /// Vertical lines with a text.
    var marks: [Tick] = []
    var hasDots = true
    var fillsArea = false
    var width = 560.0
    var height = 300.0

    private var left: Double { 62 }
    private var right: Double { width - 18 }
    /// Every mark has a line of its own for its label, so that labels of near marks do not overlap.
    private var top: Double { marks.isEmpty ? 18 : 20 + 14 * Double(min(marks.count, 4)) }
    private var bottom: Double { height - 46 }

    private var xs: [Double] { series.flatMap { $0.points.map(\.x) } + xTicks.map(\.position) }
    private var ys: [Double] { series.flatMap { $0.points.map(\.y) } }

    func svg() -> String {
        guard let xLow = xs.min(), let xHigh = xs.max(), let yMax = ys.max() else { return "" }
        let ticks = yTicks(low: ys.min() ?? 0, high: yMax)
        let (yLow, yHigh) = (ticks.first?.position ?? 0, max(ticks.last?.position ?? 1, 1e-9))
        func x(_ value: Double) -> Double { xHigh > xLow ? left + (value - xLow) / (xHigh - xLow) * (right - left) : (left + right) / 2 }
        func y(_ value: Double) -> Double {
            let share = yAxis == .linear
                ? (value - yLow) / max(1e-9, yHigh - yLow) : log10(max(value, yLow) / yLow) / max(1e-9, log10(yHigh / yLow))
            return bottom - share * (bottom - top)
        }
        var out = "<svg viewBox=\"0 0 \(n(width)) \(n(height))\" role=\"img\" aria-label=\"\(HTML.escape(title))\">\n"
        for tick in ticks {
            out += "<line class=\"grid\" x1=\"\(n(left))\" x2=\"\(n(right))\" y1=\"\(n(y(tick.position)))\" y2=\"\(n(y(tick.position)))\"/>"
            out += "<text class=\"tick\" text-anchor=\"end\" x=\"\(n(left - 8))\" y=\"\(n(y(tick.position) + 4))\">\(tick.label)</text>\n"
        }
        for tick in xTicks {
            out += "<line class=\"axis\" x1=\"\(n(x(tick.position)))\" x2=\"\(n(x(tick.position)))\" y1=\"\(n(bottom))\" y2=\"\(n(bottom + 4))\"/>"
            out += "<text class=\"tick\" text-anchor=\"middle\" x=\"\(n(x(tick.position)))\" y=\"\(n(bottom + 18))\">\(tick.label)</text>\n"
        }
        out += "<line class=\"axis\" x1=\"\(n(left))\" x2=\"\(n(right))\" y1=\"\(n(bottom))\" y2=\"\(n(bottom))\"/>\n"
        out += "<text class=\"label\" text-anchor=\"middle\" x=\"\(n((left + right) / 2))\" y=\"\(n(height - 8))\">\(HTML.escape(xTitle))</text>\n"
        out += "<text class=\"label\" text-anchor=\"middle\" transform=\"rotate(-90 14 \(n((top + bottom) / 2)))\" x=\"14\" y=\"\(n((top + bottom) / 2))\">\(HTML.escape(yTitle))</text>\n"
        for (i, mark) in marks.enumerated() {
            let labelY = 12 + 14 * Double(i % 4)
            let anchor = x(mark.position) > (left + right) / 2 ? "end" : "start"
            out += "<line class=\"mark\" x1=\"\(n(x(mark.position)))\" x2=\"\(n(x(mark.position)))\" y1=\"\(n(labelY + 4))\" y2=\"\(n(bottom))\"/>"
            out += "<text class=\"tick\" text-anchor=\"\(anchor)\" x=\"\(n(x(mark.position)))\" y=\"\(n(labelY))\">\(HTML.escape(mark.label))</text>\n"
        }
        for line in series where !line.points.isEmpty {
            let path = line.points.map { "\(n(x($0.x))),\(n(y($0.y)))" }
            if fillsArea, let first = line.points.first, let last = line.points.last {
                out += "<path class=\"area s\(line.colour)\" d=\"M\(n(x(first.x))),\(n(bottom)) L\(path.joined(separator: " L")) L\(n(x(last.x))),\(n(bottom)) Z\"/>"
            }
            if path.count > 1 {
                out += "<polyline class=\"line s\(line.colour)\(line.isDashed ? " dashed" : "")\" points=\"\(path.joined(separator: " "))\"/>"
            }
            guard hasDots else { continue }
            for point in line.points {
                out += "<circle class=\"dot s\(line.colour)\(line.isDashed ? " hollow" : "")\" cx=\"\(n(x(point.x)))\" cy=\"\(n(y(point.y)))\" r=\"4\"><title>\(HTML.escape(line.name)): \(n(point.y))</title></circle>"
            }
            out += "\n"
        }
        return out + "</svg>\n"
    }

    /// The names of the series, each with a sample of its line.
    func legend() -> String {
        let items = series.filter { !$0.points.isEmpty }.map {
            "<span><svg viewBox=\"0 0 26 10\"><line class=\"line s\($0.colour)\($0.isDashed ? " dashed" : "")\" x1=\"1\" x2=\"25\" y1=\"5\" y2=\"5\"/></svg>\(HTML.escape($0.name))</span>"
        }
        return "<div class=\"legend\">\(items.joined())</div>\n"
    }

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
                let shown = isSparse || i == 0 || i == inside.count - 1 || abs(log10(value) - log10(value).rounded()) < 1e-6
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
