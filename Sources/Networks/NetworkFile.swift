import StrictInput

extension NetworkProfile {
    /// Reads a matrix file (docs/BENCH.md, Networks).
    /// - Throws: what is wrong with it, and where.
    public init(reading path: String) throws {
        try self.init(bytes: try InputFile.read(path, limit: NetworkFile.maxBytes), file: path)
    }

    /// - Parameter file: the name that errors carry.
    package init(bytes: [UInt8], file: String) throws(InputProblem) {
        var limits = JSONReader.Limits()
        limits.bytes = NetworkFile.maxBytes
        self = try NetworkFile(try JSONReader(bytes, file: file, limits: limits)).profile
    }
}

/// A matrix file while it is read.
private struct NetworkFile {
    static let maxBytes = 1 << 20
    private static let maxRegions = 64
    private static let maxPlaced = 4096
    private static let maxName = 64
    private static let maxSource = 1000
    /// Nothing on earth is further away: a longer one is a mistake of units.
    private static let milliseconds = 0.0...10_000
    /// Beyond, TCP carries next to nothing.
    private static let percent = 0.0...50
    /// Less carries nothing of ours in time.
    private static let megabits = 0.1...1_000_000

    let profile: NetworkProfile

    init(_ root: JSONReader) throws(InputProblem) {
        let fields = try root.object(
            ["name", "regions"],
            optional: [
                "source", "round_trip_ms", "one_way_ms", "jitter_ms", "loss_percent", "mbit_per_s", "hosts",
                "gateways", "clients",
            ])
        let regions = try Self.regions(fields["regions"])
        let (delays, halves) = try Self.delays(fields, of: root)
        let delay = try Self.matrix(delays, regions.count, Self.milliseconds)
        let jitter = try Self.valueOrMatrix(fields.optional("jitter_ms"), regions.count, Self.milliseconds)
        let loss = try Self.valueOrMatrix(fields.optional("loss_percent"), regions.count, Self.percent)
        let speed = try Self.valueOrMatrix(fields.optional("mbit_per_s"), regions.count, Self.megabits)
        let links = regions.indices.map { from in
            regions.indices.map { to in
                NetworkProfile.Link(
                    delay: UInt64((delay[from][to] * halves * 500_000).rounded()),
                    jitter: UInt64(((jitter?[from][to] ?? 0) * 1_000_000).rounded()),
                    lossPerMillion: UInt32(((loss?[from][to] ?? 0) * 10_000).rounded()),
                    bytesPerSecond: speed.map { UInt64($0[from][to] * 125_000) })
            }
        }
        var source: String?
        if let field = fields.optional("source") { source = try Self.text(field, limit: Self.maxSource) }
        var clients = 0
        if let field = fields.optional("clients") { clients = try Self.place(field, in: regions) }
        profile = NetworkProfile(
            name: try Self.text(fields["name"], limit: Self.maxName), source: source ?? Printable.line(root.file),
            regions: regions, links: links, hosts: try Self.places(fields.optional("hosts"), in: regions),
            gateways: try Self.places(fields.optional("gateways"), in: regions), clients: clients)
    }

    /// - Returns: the matrix, and how many halves of a round trip its numbers are.
    private static func delays(_ fields: JSONFields, of root: JSONReader) throws(InputProblem) -> (JSONReader, Double) {
        switch (fields.optional("round_trip_ms"), fields.optional("one_way_ms")) {
        case (let matrix?, nil): return (matrix, 1)
        case (nil, let matrix?): return (matrix, 2)
        case (_?, let second?): throw second.problem("round_trip_ms is there too", expected: "only one of the two")
        case (nil, nil): throw root.problem("no delays", expected: "round_trip_ms or one_way_ms")
        }
    }

    private static func regions(_ field: JSONReader) throws(InputProblem) -> [String] {
        let elements = try field.elements(limit: maxRegions)
        guard !elements.isEmpty else { throw field.problem("no region", expected: "the name of one at least") }
        var names: [String] = []
        for element in elements {
            let name = try text(element, limit: maxName)
            guard !names.contains(name) else { throw element.problem("\(Printable.quoted(name.utf8)) is there twice") }
            names.append(name)
        }
        return names
    }

    private static func text(_ field: JSONReader, limit: Int) throws(InputProblem) -> String {
        let text = try field.string()
        guard !text.isEmpty, text.utf8.count <= limit, Printable.line(text) == text else {
            throw field.problem(Printable.quoted(text.utf8), expected: "a printable text of at most \(limit) bytes")
        }
        return text
    }

    /// One row for each region that sends, one number in it for each that receives.
    private static func matrix(
        _ field: JSONReader, _ count: Int, _ range: ClosedRange<Double>
    ) throws(InputProblem) -> [[Double]] {
        var matrix: [[Double]] = []
        for row in try counted(field, count, "rows") {
            var numbers: [Double] = []
            for cell in try counted(row, count, "numbers") { numbers.append(try number(cell, range)) }
            matrix.append(numbers)
        }
        return matrix
    }

    private static func counted(
        _ field: JSONReader, _ count: Int, _ what: String
    ) throws(InputProblem) -> [JSONReader] {
        let elements = try field.elements()
        guard elements.count == count else {
            throw field.problem("\(elements.count) \(what)", expected: "\(count), one for each region")
        }
        return elements
    }

    /// One number is that of all links.
    private static func valueOrMatrix(
        _ field: JSONReader?, _ count: Int, _ range: ClosedRange<Double>
    ) throws(InputProblem) -> [[Double]]? {
        guard let field else { return nil }
        guard field.isNumber else { return try matrix(field, count, range) }
        return Array(repeating: Array(repeating: try number(field, range), count: count), count: count)
    }

    private static func number(_ field: JSONReader, _ range: ClosedRange<Double>) throws(InputProblem) -> Double {
        let text = try field.number()
        guard let number = Double(text), range.contains(number) else {
            throw field.problem(
                Printable.quoted(text.utf8), expected: "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func places(_ field: JSONReader?, in regions: [String]) throws(InputProblem) -> [Int]? {
        guard let field else { return nil }
        let elements = try field.elements(limit: maxPlaced)
        guard !elements.isEmpty else { throw field.problem("nobody is placed", expected: "the name of a region") }
        var places: [Int] = []
        for element in elements { places.append(try place(element, in: regions)) }
        return places
    }

    private static func place(_ field: JSONReader, in regions: [String]) throws(InputProblem) -> Int {
        let name = try field.string()
        guard let region = regions.firstIndex(of: name) else {
            throw field.problem(
                "no region \(Printable.quoted(name.utf8))", expected: "one of \(regions.joined(separator: ", "))")
        }
        return region
    }
}

extension JSONReader {
    fileprivate var isNumber: Bool { (try? number()) != nil }
}
