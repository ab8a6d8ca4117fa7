import Messages

/// Learns what the cores' code costs, while a forecast runs it: the time of each step is taken as the sum of what the
/// step consisted of, and least squares over all steps say what each part takes. Confined to the thread of its run.
public final class StepMeter {
    /// Part of a step: how often it happened, and on how much.
    struct Part {
        let kind: StepKind
        var times = 1
        var units = 0
    }

    private static let columns = 2 * StepKind.allCases.count
    /// Nanoseconds of processor time of this thread.
    private let clock: () -> UInt64
    private var products = [Double](repeating: 0, count: columns * columns)
    private var targets = [Double](repeating: 0, count: columns)
    private var counts = [Int](repeating: 0, count: StepKind.allCases.count)
    private var overhead = 0.0
    private var samples: [FrameKind: [Sample]] = [:]
    private static let maxSamples = 192

    private struct Sample {
        let bytes: Int
        let encode: () -> [UInt8]
        let decode: ([UInt8]) throws -> Void
    }

    /// - Parameter clock: nanoseconds of processor time of the thread that asks.
    public init(clock: @escaping () -> UInt64) {
        self.clock = clock
        var least = UInt64.max
        for _ in 0..<2000 {
            let begin = clock()
            least = min(least, clock() - begin)
        }
        overhead = Double(least)
    }

    func begin() -> UInt64 { clock() }

    func end(_ begin: UInt64, _ parts: [Part]) {
        let time = max(0, Double(clock() - begin) - overhead)
        var row: [(column: Int, value: Double)] = []
        for part in parts {
            counts[part.kind.rawValue] += part.times
            row.append((2 * part.kind.rawValue, Double(part.times)))
            if part.units > 0 { row.append((2 * part.kind.rawValue + 1, Double(part.units))) }
        }
        for (column, value) in row {
            targets[column] += value * time
            for (other, factor) in row { products[column * Self.columns + other] += value * factor }
        }
    }

    func note<Value: CanonicalCodable & Sendable>(_ note: Note<Value>) {
        guard samples[note.kind, default: []].count < Self.maxSamples else { return }
        samples[note.kind, default: []].append(
            Sample(bytes: note.bytes, encode: { note.value.encoded() }, decode: { _ = try Value(decoding: $0) }))
    }

    /// By the names of `StepKind`. What did not happen costs what another step costs.
    public func steps() -> [String: CostModel.Line] {
        let solution = LeastSquares.solve(products, targets)
        var lines: [String: CostModel.Line] = [:]
        let known = StepKind.allCases.filter { counts[$0.rawValue] >= 20 }
        for kind in StepKind.allCases {
            // What is rare enough not to be measured is a message like others, or one with certificates.
            let model = known.contains(kind) ? kind : kind == .push || kind == .forward ? .decides : .submit
            lines[kind.name] = .init(solution[2 * model.rawValue], each: solution[2 * model.rawValue + 1])
        }
        return lines
    }

    /// How often each was measured.
    public var measured: [String: Int] {
        Dictionary(uniqueKeysWithValues: StepKind.allCases.map { ($0.name, counts[$0.rawValue]) })
    }

    /// Codes the messages that were kept again and again.
    /// - Throws: what decoding throws, which would be a defect.
    public func coding() throws -> (encode: [String: CostModel.Line], decode: [String: CostModel.Line]) {
        var (encode, decode): ([String: CostModel.Line], [String: CostModel.Line]) = ([:], [:])
        for (kind, samples) in samples {
            var (written, read): ([(Double, Double)], [(Double, Double)]) = ([], [])
            for sample in samples {
                let bytes = sample.encode()
                written.append((Double(sample.bytes), try time { _ = sample.encode() }))
                read.append((Double(sample.bytes), try time { try sample.decode(bytes) }))
            }
            (encode[kind.name], decode[kind.name]) = (LeastSquares.line(written), LeastSquares.line(read))
        }
        let rare = CostModel.Line(500, each: 2)
        for kind in FrameKind.allCases where encode[kind.name] == nil {
            (encode[kind.name], decode[kind.name]) = (rare, rare)
        }
        return (encode, decode)
    }

    /// The least of some rounds: whatever is above it was something else's doing.
    private func time(_ body: () throws -> Void) throws -> Double {
        var least = Double.infinity
        for _ in 0..<5 {
            let begin = clock()
            for _ in 0..<8 { try body() }
            least = min(least, (Double(clock() - begin) - overhead) / 8)
        }
        return max(0, least)
    }
}

/// Small systems of equations.
package enum LeastSquares {
    /// Nothing costs less than nothing: what comes out below zero is left out, and the rest solved again.
    package static func solve(_ products: [Double], _ targets: [Double]) -> [Double] {
        let n = targets.count
        var active = (0..<n).filter { products[$0 * n + $0] > 0 }
        while true {
            let part = gauss(active.map { i in active.map { products[i * n + $0] } }, active.map { targets[$0] })
            guard let worst = part.indices.min(by: { part[$0] < part[$1] }), part[worst] < 0 else {
                var solution = [Double](repeating: 0, count: n)
                for (place, column) in active.enumerated() { solution[column] = part[place] }
                return solution
            }
            active.remove(at: worst)
        }
    }

    /// A line through points, neither of its numbers below zero.
    package static func line(_ points: [(Double, Double)]) -> CostModel.Line {
        let n = Double(points.count)
        let (x, y) = (points.reduce(0) { $0 + $1.0 }, points.reduce(0) { $0 + $1.1 })
        let (xx, xy) = (points.reduce(0) { $0 + $1.0 * $1.0 }, points.reduce(0) { $0 + $1.0 * $1.1 })
        let solution = solve([n, x, x, xx], [y, xy])
        return .init(solution[0], each: solution[1])
    }

    /// Columns are scaled alike, whatever their unit, and have a little on the diagonal, so that those that always come
    /// together share what they cost.
    /// - Precondition: nothing on the diagonal is 0 or less.
    private static func gauss(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
        let n = right.count
        let sizes = (0..<n).map { matrix[$0][$0].squareRoot() }
        var a = (0..<n).map { i in (0..<n).map { j in matrix[i][j] / (sizes[i] * sizes[j]) } }
        var b = (0..<n).map { right[$0] / sizes[$0] }
        for i in 0..<n { a[i][i] += 1e-9 }
        for i in 0..<n {
            let pivot = (i..<n).max { abs(a[$0][i]) < abs(a[$1][i]) } ?? i
            a.swapAt(i, pivot)
            b.swapAt(i, pivot)
            guard abs(a[i][i]) > 1e-12 else { continue }
            for row in (i + 1)..<max(n, i + 1) {
                let factor = a[row][i] / a[i][i]
                guard factor != 0 else { continue }
                for column in i..<n { a[row][column] -= factor * a[i][column] }
                b[row] -= factor * b[i]
            }
        }
        var solution = [Double](repeating: 0, count: n)
        for i in stride(from: n - 1, through: 0, by: -1) {
            var sum = b[i]
            for column in (i + 1)..<max(n, i + 1) { sum -= a[i][column] * solution[column] }
            solution[i] = abs(a[i][i]) > 1e-12 ? sum / a[i][i] : 0
        }
        return (0..<n).map { solution[$0] / sizes[$0] }
    }
}
