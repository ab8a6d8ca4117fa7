/// The page without anything that changes; `dashboardScript` fills it in.
let dashboardPage = #"""
    <!doctype html>
    <html lang="en">
    <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>Quorate</title>
      <link rel="icon" href="/icon.svg" type="image/svg+xml">
      <link rel="stylesheet" href="/app.css">
      <script src="/app.js" defer></script>
    </head>
    <body>
    <a class="skip" href="#main">Skip to the cluster</a>
    <header>
      <div class="brand">
        <h1>Quorate</h1>
        <p class="muted">cluster <span id="cluster" class="mono">…</span></p>
      </div>
      <p id="connection" class="chip wait" role="status">connecting …</p>
    </header>
    <main id="main" tabindex="-1">
      <noscript><p class="banner bad">This page needs JavaScript. The same as JSON: /api/v1/picture</p></noscript>
      <section aria-labelledby="verdict-h" class="wide">
        <h2 id="verdict-h" class="hidden">Verdict</h2>
        <div id="verdict" class="banner wait" role="status" aria-live="polite">Waiting for the first picture …</div>
        <ul id="problems" class="problems"></ul>
      </section>

      <section aria-labelledby="now-h" class="wide">
        <h2 id="now-h">Now</h2>
        <dl id="tiles" class="tiles"></dl>
      </section>

      <section aria-labelledby="rate-h">
        <h2 id="rate-h">Throughput</h2>
        <p class="muted">Requests that this gateway answered, each second of the last two minutes.</p>
        <div id="rate-chart" class="chart"></div>
      </section>
      <section aria-labelledby="latency-h">
        <h2 id="latency-h">Latency</h2>
        <p class="muted">From a request's arrival here to its answer, in ms; logarithmic.</p>
        <div id="latency-chart" class="chart"></div>
      </section>

      <section aria-labelledby="shards-h" class="wide">
        <h2 id="shards-h">Shards and replicas</h2>
        <p class="muted">Each replica by the word of its host. Seq is the last batch that it executed; lag is how many
          batches it is behind what f + 1 replicas have executed.</p>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="shards-h">
          <table id="shards" class="grid">
            <caption class="hidden">Shards by row, hosts by column; a cell is one replica</caption>
            <thead><tr></tr></thead><tbody></tbody>
          </table>
        </div>
        <p class="legend muted"><span class="ok">◆</span> primary · <span class="ok">●</span> backup ·
          <span class="warn">▲</span> changes its view, or does not vote yet · <span class="bad">✕</span> halted, or no
          answer</p>
      </section>

      <section aria-labelledby="hosts-h">
        <h2 id="hosts-h">Hosts</h2>
        <p class="muted">Round trip: from this gateway's question to the host's answer, with the time in which the host
          puts the answer together.</p>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="hosts-h">
          <table id="hosts">
            <caption class="hidden">Hosts, whether they answer, and their distance from this gateway</caption>
            <thead><tr><th scope="col">Host</th><th scope="col">State</th><th scope="col" class="num">Round trip ms</th>
              <th scope="col" class="num">Shortest</th><th scope="col" class="num">Clock ahead</th>
              <th scope="col" class="num">View changes</th></tr></thead><tbody></tbody>
          </table>
        </div>
      </section>
      <section aria-labelledby="queues-h">
        <h2 id="queues-h">Queues of this gateway</h2>
        <p id="queues-text" class="muted"></p>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="queues-h">
          <table id="queues">
            <caption class="hidden">What waits for each shard at this gateway</caption>
            <thead><tr><th scope="col">Shard</th><th scope="col" class="num">Queued</th>
              <th scope="col" class="num">In flight</th><th scope="col">Breaker</th></tr></thead><tbody></tbody>
          </table>
        </div>
      </section>

      <section aria-labelledby="aborts-h">
        <h2 id="aborts-h">Aborts and refusals</h2>
        <p class="muted">An abort is certified by the shards. A refusal has no outcome, and may be tried again.</p>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="aborts-h">
          <table id="aborts">
            <caption class="hidden">Aborts and refusals by reason</caption>
            <thead><tr><th scope="col">Reason</th><th scope="col" class="num">Last minute</th>
              <th scope="col" class="num">Since start</th></tr></thead><tbody></tbody>
          </table>
        </div>
        <p id="aborts-none" class="muted"></p>
      </section>
      <section aria-labelledby="traffic-h">
        <h2 id="traffic-h">Traffic between shards</h2>
        <p class="muted">Transfers and calls of the last minute: from the shard of the row to that of the column. Within
          a shard on the diagonal.</p>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="traffic-h">
          <table id="traffic" class="heat">
            <caption class="hidden">Traffic from the shard of the row to the shard of the column, last minute</caption>
            <thead><tr></tr></thead><tbody></tbody>
          </table>
        </div>
      </section>

      <section aria-labelledby="spread-h" class="wide">
        <h2 id="spread-h">Propagation between hosts</h2>
        <p id="spread-text" class="muted"></p>
        <div class="pair">
          <div class="scroll" tabindex="0" role="region" aria-label="Delay from host to host">
            <table id="links" class="heat">
              <caption class="hidden">Delay in ms from the host of the row to the host of the column, last minute</caption>
              <thead><tr></tr></thead><tbody></tbody>
            </table>
          </div>
          <div class="scroll" tabindex="0" role="region" aria-label="How far batches come, and when">
            <table id="steps">
              <caption class="hidden">Time from a batch's PRE-PREPARE until it has come so far</caption>
              <thead><tr><th scope="col">Until</th><th scope="col" class="num">p50 ms</th>
                <th scope="col" class="num">p99 ms</th><th scope="col" class="num">Batches</th></tr></thead><tbody></tbody>
            </table>
          </div>
        </div>
        <p id="spread-note" class="legend muted"></p>
      </section>

      <section aria-labelledby="doubt-h" class="wide">
        <h2 id="doubt-h">In doubt</h2>
        <p id="doubt-text" class="muted"></p>
        <div id="doubt-region" class="scroll" tabindex="0" role="region" aria-labelledby="doubt-h" hidden>
          <table id="doubts">
            <caption class="hidden">Transactions over several shards without a decision, oldest first</caption>
            <thead><tr><th scope="col">Transaction</th><th scope="col" class="num">Age</th><th scope="col">Shards</th>
              <th scope="col">Voted</th><th scope="col">Waits for the vote of</th></tr></thead><tbody></tbody>
          </table>
        </div>
        <div id="records-region" hidden>
          <h3 id="records-h">Oldest undecided records of all gateways' transactions</h3>
          <p class="muted">As f + 1 replicas of a shard say. A shard that has recorded a transaction has voted.</p>
          <div class="scroll" tabindex="0" role="region" aria-labelledby="records-h">
            <table id="records">
              <caption class="hidden">Undecided records, whichever gateway brought them, oldest first</caption>
              <thead><tr><th scope="col">Transaction</th><th scope="col" class="num">Undecided for</th>
                <th scope="col">Recorded on</th><th scope="col">Waits for</th></tr></thead><tbody></tbody>
            </table>
          </div>
        </div>
      </section>

      <section aria-labelledby="recent-h" class="wide">
        <h2 id="recent-h">Transactions and their waterfalls</h2>
        <form id="trace-form">
          <label for="txid">Transaction (64 hexadecimal digits)</label>
          <div class="row"><input id="txid" name="txid" class="mono" autocomplete="off" spellcheck="false"
            maxlength="64"><button>Show</button></div>
        </form>
        <div id="waterfall" tabindex="-1" hidden>
          <h3 id="waterfall-h">Waterfall</h3>
          <p id="waterfall-text"></p>
          <div id="waterfall-region" class="scroll" tabindex="0" role="region" aria-labelledby="waterfall-h">
            <table id="spans">
              <caption class="hidden">What each process did of the transaction, and when</caption>
              <thead><tr><th scope="col">Step</th><th scope="col" class="num">From ms</th>
                <th scope="col" class="num">Takes ms</th><th scope="col" class="barcol">Time</th></tr></thead>
            </table>
          </div>
        </div>
        <p id="recent-text" class="muted"></p>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="recent-h">
          <table id="recent">
            <caption class="hidden">The newest transactions of this gateway</caption>
            <thead><tr><th scope="col">Transaction</th><th scope="col" class="num">Ago</th>
              <th scope="col" class="num">Took ms</th><th scope="col">Shards</th><th scope="col">Outcome</th>
              </tr></thead><tbody></tbody>
          </table>
        </div>
      </section>
    </main>
    <footer class="muted">What hosts say of themselves and what this gateway has seen; nothing here is certified.
      The same as JSON: <a href="/api/v1/picture">/api/v1/picture</a></footer>
    </body>
    </html>
    """#
