import NIOCore
import Transport

extension FuzzTarget {
    private static let frameLimit = 256

    /// Sizes of pieces (1 byte), then a stream of frames.
    static let frames = FuzzTarget(
        "frames", maxLength: 2048,
        seeds: {
            func frame(_ count: Int) -> [UInt8] {
                [UInt8(count & 0xff), UInt8(count >> 8), 0, 0] + [UInt8](repeating: 7, count: count)
            }
            return [
                [1] + frame(3) + frame(256) + frame(1), [5] + frame(40), [200] + frame(0), [3] + frame(257),
                [9] + frame(100).dropLast(),
            ]
        },
        read: { bytes in
            guard let step = bytes.first.map({ Int($0) % 64 + 1 }) else { return }
            let stream = Array(bytes.dropFirst())
            let whole = parse([stream])
            let pieces = stride(from: 0, to: stream.count, by: step).map {
                Array(stream[$0..<min(stream.count, $0 + step)])
            }
            let cut = parse(pieces)
            try require(whole.frames == cut.frames && whole.error == cut.error, "pieces change what is read")
            try require(cut.most <= frameLimit + 64, "\(cut.most) bytes are kept of a frame of at most \(frameLimit)")
            try require(whole.frames.allSatisfy { (1...frameLimit).contains($0.count) }, "a frame beyond the limit")
            if let error = whole.error { throw error }
        })

    private static func parse(_ pieces: [[UInt8]]) -> (frames: [[UInt8]], error: FrameError?, most: Int) {
        var parser = FrameParser(limit: frameLimit)
        var (frames, most): ([[UInt8]], Int) = ([], 0)
        for piece in pieces {
            var buffer = ByteBuffer(bytes: piece)
            do throws(FrameError) { while let frame = try parser.next(from: &buffer) { frames.append(frame) } } catch {
                return (frames, error, most)
            }
            most = max(most, parser.storage)
        }
        return (frames, nil, most)
    }
}
