extension ReportSection {
    /// What the words mean.
    static let reading = ReportSection(id: "reading", title: "How to read this") { _ in
        """
        <div class="card wide prose"><h2>How to read this</h2><p class="muted">
        A client is one signed request in flight. It counts as done when the client itself has verified the certificates that prove its
        outcome (f + 1 replica signatures for each shard involved). An account's payments keep the order of the
        workload, and wait for money that they need, so “in flight” can stay below the number of clients.
        “Resent” counts requests that the client sent again, “retries” those that a gateway sent again, for conflicts or for silence.
        Under bundles, every transfer has the latency of its bundle.</p><p class="muted">After each run every replica was asked for its
        final state: money is conserved per asset, the replicas of a shard have the same digest at the same sequence number, and no
        reservation is left. A history of transactions that append to lists and read them was recorded during the run, beside the
        transfers or as its load, and some order of them, which respects real time, explains all that was read (strict
        serializability).</p><p class="muted">One colour is one shard count in all pictures. ✕ stands at what is not valid. Hosts, gateways
        and clients of real runs share this machine.</p></div>

        """
    }
}
