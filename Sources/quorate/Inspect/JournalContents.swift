import Cores
import Foundation
import Messages
import PBFT
import StrictInput
import WriteAheadLog

/// A journal's records, read as what they are, and summed up by shard.
struct JournalContents {
    /// One record.
    struct Line: Encodable, Sendable {
        var schema = 1
        var segment: UInt64
        var offset: Int
        /// Of the record, counted over the journal's life.
        var record: UInt64
        var bytes: Int
        /// `committed`; `unreadable` for what this build cannot read.
        var kind: String
        var shard: Int?
        var view: UInt64?
        /// Of the batch or the checkpoint that it is about.
        var sequence: UInt64?
        var digest: String?
        /// In the batch that it brings.
        var items: Int?
        var problem: String?

        var text: String {
            var text = "segment \(segment) byte \(offset)  #\(record)  \(bytes) bytes  "
            if let shard { text += "shard \(shard)  " }
            text += kind
            if let sequence { text += "  batch \(sequence)" }
            if let view { text += "  view \(view)" }
            if let items { text += "  \(items) \(items == 1 ? "item" : "items")" }
            if let digest { text += "  \(digest.prefix(8))" }
            if let problem { text += "  \(Printable.line(problem))" }
            return text
        }
    }

    /// What the journal knows of one shard.
    struct Shard: Encodable, Sendable {
        var shard: Int
        var records = 0
        var bytes = 0
        /// By kind.
        var kinds: [String: Int] = [:]
        /// The lowest and the highest batch that a record is about.
        var first: UInt64?
        var last: UInt64?
        /// The highest batch that the replica knows to be committed.
        var committed: UInt64?
        /// The highest checkpoint that it knows to be stable.
        var stable: UInt64?
        var stable_digest: String?
        var view: UInt64 = 0
        /// Of the replica itself: when it last forgot votes, 0 for never; and whether it is still in quarantine for it.
        var incarnation: UInt64 = 0
        var quarantined = false
        /// Peers that forgot votes, with when.
        var peers: [String: UInt64] = [:]
    }

    let lines: [Line]
    let shards: [Shard]
    private let journal: JournalInspection
    private let title: String
    private let path: String

    var unreadable: [Line] { lines.filter { $0.problem != nil } }

    init(_ journal: JournalInspection, of title: String, at path: String) {
        (self.journal, self.title, self.path) = (journal, title, path)
        var shards: [Int: Shard] = [:]
        lines = journal.records.map { record in
            var line = Line(
                segment: record.segment, offset: record.offset, record: record.sequence, bytes: record.payload.count,
                kind: "unreadable")
            do {
                let read = try HostRecord(decoding: record.payload)
                line.describe(read)
                let number = Int(read.shard.number)
                shards[number, default: Shard(shard: number)].add(read.record, line)
            } catch {
                line.problem = "\(error)"
            }
            return line
        }
        self.shards = shards.values.sorted { $0.shard < $1.shard }
    }

    // MARK: For a person

    func text(last: [Line]) -> String {
        let (segment, offset) = journal.end
        let size = journal.segments.reduce(0) { $0 + $1.size }
        var lines = [
            "journal of \(title): \(journal.records.count) records in \(journal.segments.count) \(journal.segments.count == 1 ? "segment" : "segments"), \(size) bytes, \(journal.spareFiles) spare \(journal.spareFiles == 1 ? "file" : "files")",
            "chained: every record follows on the one before it, up to byte \(offset) of segment \(segment)",
        ]
        if journal.hasTornTail {
            lines.append(
                "torn tail: behind byte \(offset) of segment \(segment) stands what a write that was cut short has left. Nobody was told that it is durable; the next start writes over it"
            )
        }
        if let unborn = journal.unborn {
            lines.append("segment \(unborn) was being created when the power went: nothing is in it")
        }
        for segment in journal.segments {
            var line =
                "segment \(segment.number)  \(segment.kind.rawValue)  records from #\(segment.firstSequence) on: \(segment.records), and \(segment.marks) of the journal's own  ends at byte \(segment.end) of \(segment.size)"
            if segment.hasDamagedCopy { line += "  ONE COPY OF ITS HEADER IS DAMAGED" }
            lines.append(line)
        }
        for shard in shards { lines += Self.lines(of: shard) }
        if !unreadable.isEmpty { lines.append("\(unreadable.count) records cannot be read") }
        if !last.isEmpty { lines += ["last records:"] + last.map { "  " + $0.text } }
        return lines.joined(separator: "\n")
    }

    private static func lines(of shard: Shard) -> [String] {
        var line = "shard \(shard.shard)  \(shard.records) records, \(shard.bytes) bytes"
        if let first = shard.first, let last = shard.last { line += "  batches \(first) to \(last)" }
        line +=
            "  committed \(shard.committed.map { "\($0)" } ?? "none")  stable \(shard.stable ?? 0)  view \(shard.view)"
        let kinds = shard.kinds.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        var lines = [line, "  " + kinds.joined(separator: ", ")]
        if shard.incarnation > 0 {
            lines.append(
                "  incarnation \(shard.incarnation): it may have forgotten votes then, and \(shard.quarantined ? "is in quarantine" : "takes part again")"
            )
        }
        for (replica, incarnation) in shard.peers.sorted(by: { $0.key < $1.key }) {
            lines.append("  replica \(replica) forgot votes: incarnation \(incarnation)")
        }
        return lines
    }

    // MARK: For a program

    struct Document: Encodable, Sendable {
        struct Segment: Encodable, Sendable {
            var segment: UInt64
            var kind: String
            var first_record: UInt64
            var records: Int
            var marks: Int
            var end: Int
            var size: Int
            var damaged_header_copy: Bool
        }
        struct End: Encodable, Sendable {
            var segment: UInt64
            var offset: Int
        }
        var schema = 1
        var kind = "summary"
        var path: String
        var records: Int
        var unreadable: Int
        var segments: [Segment]
        var spare_files: Int
        /// Where the next record belongs.
        var end: End
        var torn_tail: Bool
        var unborn_segment: UInt64?
        var shards: [Shard]
        var last: [Line]
    }

    func document(last: [Line]) -> Document {
        let (segment, offset) = journal.end
        return Document(
            path: path, records: lines.count, unreadable: unreadable.count,
            segments: journal.segments.map {
                .init(
                    segment: $0.number, kind: $0.kind.rawValue, first_record: $0.firstSequence, records: $0.records,
                    marks: $0.marks, end: $0.end, size: $0.size, damaged_header_copy: $0.hasDamagedCopy)
            },
            spare_files: journal.spareFiles, end: .init(segment: segment, offset: offset),
            torn_tail: journal.hasTornTail, unborn_segment: journal.unborn, shards: shards, last: last)
    }
}

extension JournalContents.Line {
    fileprivate mutating func describe(_ read: HostRecord) {
        shard = Int(read.shard.number)
        switch read.record {
        case .prePrepared(let view, let sequence, let batch):
            kind = "pre_prepared"
            note(view, sequence, batch.digest, batch)
        case .prePreparedAgain(let view, let sequence, let digest):
            kind = "pre_prepared_again"
            note(view, sequence, digest)
        case .prepared(let view, let sequence, let digest):
            kind = "prepared"
            note(view, sequence, digest)
        case .committed(let sequence, let digest, _):
            kind = "committed"
            note(nil, sequence, digest)
        case .committedBody(let sequence, let batch, _):
            kind = "committed_body"
            note(nil, sequence, batch.digest, batch)
        case .viewChange(let change): (kind, view) = ("view_change", change.view.number)
        case .newView(let new): (kind, view) = ("new_view", new.view.number)
        case .stable(let checkpoint):
            kind = "stable"
            note(nil, checkpoint.sequence, checkpoint.digest)
        case .quarantine(_, let isOver): kind = isOver ? "quarantine_over" : "quarantine"
        case .peerIncarnation: kind = "peer_incarnation"
        }
    }

    private mutating func note(_ view: View?, _ sequence: SequenceNumber, _ digest: Digest, _ batch: Batch? = nil) {
        (self.view, self.sequence, self.digest) = (view?.number, sequence.number, digest.hex)
        items = batch?.items.count
    }
}

extension JournalContents.Shard {
    fileprivate mutating func add(_ record: JournalRecord, _ line: JournalContents.Line) {
        records += 1
        bytes += line.bytes
        kinds[line.kind, default: 0] += 1
        if let sequence = line.sequence {
            first = min(first ?? sequence, sequence)
            last = max(last ?? sequence, sequence)
        }
        if let found = line.view { view = max(view, found) }
        switch record {
        case .committed(let sequence, _, _), .committedBody(let sequence, _, _):
            committed = max(committed ?? 0, sequence.number)
        case .stable(let checkpoint) where checkpoint.sequence.number >= stable ?? 0:
            (stable, stable_digest) = (checkpoint.sequence.number, checkpoint.digest.hex)
        case .quarantine(let found, let isOver):
            (incarnation, quarantined) = (max(incarnation, found), !isOver)
        case .peerIncarnation(let declaration):
            peers["\(declaration.replica)"] = max(peers["\(declaration.replica)"] ?? 0, declaration.incarnation)
        case .prePrepared, .prePreparedAgain, .prepared, .viewChange, .newView, .stable: break
        }
    }
}
