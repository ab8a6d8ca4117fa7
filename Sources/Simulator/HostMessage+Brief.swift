import Messages
import PBFT

extension HostMessage {
    /// By its paper's name, in a line.
    var brief: String {
        switch self {
        case .pbft(let shard, let pbft):
            switch pbft {
            case .prePrepare(let m):
                "s\(shard) PRE-PREPARE v\(m.view) n\(m.sequence) \(m.batch.digest.short) (\(m.batch.items.count))"
            case .prepare(let m): "s\(shard) PREPARE v\(m.view) n\(m.sequence) \(m.digest.short)"
            case .commit(let m): "s\(shard) COMMIT v\(m.view) n\(m.sequence) \(m.digest.short)"
            case .checkpoint(let m): "s\(shard) CHECKPOINT n\(m.sequence) \(m.digest.short)"
            case .suspect(let view): "s\(shard) SUSPECT v\(view)"
            case .viewChange(let m):
                "s\(shard) VIEW-CHANGE v\(m.view) h\(m.lowWatermark) P\(m.prepared.count) Q\(m.prePrepared.count)"
            case .newView(let m): "s\(shard) NEW-VIEW v\(m.view) start \(m.start.sequence) + \(m.selection.count)"
            case .status(let m):
                "s\(shard) STATUS v\(m.view)\(m.isChangingView ? "?" : "") executed \(m.lastExecuted) stable \(m.stable)"
            case .fetchBatch(let d): "s\(shard) FETCH \(d.short)"
            case .batch(let b): "s\(shard) BATCH \(b.digest.short)"
            case .fetchCommitted(let m): "s\(shard) FETCH-COMMITTED \(m.from)+\(m.count)\(m.bodies ? " bodies" : "")"
            case .committed(let m): "s\(shard) COMMITTED \(m.from)+\(m.digests.count)"
            case .committedBody(let b): "s\(shard) BODY \(b.digest.short)"
            case .resumed(let m): "s\(shard) RESUMED \(m.isQuarantined ? "quarantined" : "remembers \(m.remembers)")"
            case .recollection(let m): "s\(shard) RECOLLECTION heard \(m.heard) checkpoint \(m.checkpoint)"
            }
        case .push(let shard, let push):
            "s\(shard) PUSH \(push.request.digest.short) \(push.attested.leaf.entries.map(\.status))"
        case .stateTransfer(let shard, let m):
            switch m {
            case .fetchCheckpoint(let minimum): "s\(shard) FETCH-CHECKPOINT \(minimum)"
            case .checkpoint(let n, _, _): "s\(shard) STATE n\(n)"
            case .fetchBuckets(let n, let buckets): "s\(shard) FETCH-BUCKETS n\(n) \(buckets.count)"
            case .bucket(let n, let bucket, let part, let isLast, let entries):
                "s\(shard) BUCKET n\(n) \(bucket).\(part)\(isLast ? "" : "…") (\(entries.count))"
            case .gone(let n): "s\(shard) GONE n\(n)"
            }
        case .forward(let shard, _): "s\(shard) FORWARD"
        }
    }
}
