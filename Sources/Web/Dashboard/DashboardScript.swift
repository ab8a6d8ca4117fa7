/// Draws what `/api/v1/events` brings. All of it goes into the page as text.
let dashboardScript = #"""
    "use strict";
    const $ = (id) => document.getElementById(id);
    const whole = new Intl.NumberFormat("en");

    // ---- elements -------------------------------------------------------------------------------------------------

    /** An element with attributes, and texts or elements in it. Texts are texts, whoever has chosen them. */
    function el(name, attributes, ...children) {
      const svg = ["svg", "line", "polyline", "text"].includes(name);
      const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
      for (const [key, value] of Object.entries(attributes || {})) {
        if (value !== undefined && value !== null) made.setAttribute(key, value);
      }
      made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
      return made;
    }

    /** Sets the text if it is another: what does not change is not announced, and a selection stays. */
    function text(element, value) {
      if (element.textContent !== value) element.textContent = value;
    }

    /**
     * Makes a table's body what `rows` say, cell by cell. A cell is a text, or {text, head, class, sub, title, heat}.
     * Cells that stay the same are not touched.
     */
    function fill(body, rows) {
      while (body.rows.length > rows.length) body.deleteRow(-1);
      rows.forEach((cells, i) => {
        const row = body.rows[i] || body.insertRow();
        while (row.cells.length > cells.length) row.deleteCell(-1);
        cells.forEach((given, j) => {
          const cell = typeof given === "object" ? given : { text: given };
          const key = JSON.stringify(cell);
          const old = row.cells[j];
          if (old && old.dataset.key === key) return;
          const made = el(cell.head ? "th" : "td", { scope: cell.head, class: cell.class, title: cell.title });
          made.dataset.key = key;
          if (cell.sign) made.append(el("span", { "aria-hidden": "true" }, cell.sign + " "));
          made.append(cell.text);
          for (const line of cell.sub || []) made.append(el("span", { class: "sub" }, line));
          if (cell.heat) made.style.setProperty("background-color", `rgba(var(--heat), ${cell.heat})`);
          if (old) old.replaceWith(made); else row.append(made);
        });
      });
    }

    const number = (value) => (value === undefined || value === null ? "–" : whole.format(value));
    const num = (value) => ({ text: typeof value === "string" ? value : number(value), class: "num" });
    const head = (value) => ({ text: String(value), head: "row" });
    const list = (shards) => (shards.length ? shards.join(", ") : "none");

    /** Microseconds as milliseconds, with three digits that count. */
    function ms(us) {
      if (us === undefined || us === null) return "–";
      const value = us / 1000;
      return value >= 100 ? whole.format(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2);
    }

    function span(milliseconds) {
      const s = Math.max(0, Math.round(milliseconds / 1000));
      if (s < 100) return `${s} s`;
      if (s < 6000) return `${Math.floor(s / 60)} min ${s % 60} s`;
      return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    }

    const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

    // ---- verdict --------------------------------------------------------------------------------------------------

    function verdict(p) {
      const stuck = p.shards.filter((s) => !s.commits);
      const thin = p.shards.filter((s) => s.commits && s.voting < s.replicas);
      const silent = p.hosts.filter((h) => !h.answers);
      const leaderless = p.shards.filter((s) => p.replicas.filter((r) => r.shard === s.shard
        && r.standing === "changing_view").length > s.replicas - s.needed);
      const shards = (n) => (n === 1 ? "1 shard" : `${n} shards`);
      let kind = "ok", sign = "✓", words = `All is well: ${shards(p.shards.length)}, all replicas vote.`;
      if (stuck.length) {
        [kind, sign] = ["bad", "✕"];
        words = `${stuck.length} of ${shards(p.shards.length)} cannot commit: ${stuck.map((s) => s.shard).join(", ")}.`;
      } else if (thin.length || silent.length) {
        [kind, sign] = ["warn", "▲"];
        const missing = silent.map((h) => `host ${h.host}`).join(", ");
        words = `All shards commit, but not all replicas vote` + (missing ? `: ${missing} does not answer.` : ".");
      } else if (leaderless.length) {
        [kind, sign] = ["warn", "▲"];
        words = `${shards(leaderless.length)} of ${p.shards.length} chooses another primary.`;
      } else if (p.problems.length) {
        [kind, sign, words] = ["warn", "▲", "All shards commit, but something is wrong."];
      }
      $("verdict").className = `banner ${kind}`;
      shownVerdict = `${sign} ${words}`;
      text($("verdict"), shownVerdict);
      document.title = kind === "ok" ? "Quorate" : `${sign} Quorate: ${words}`;
      const lines = [];
      for (const s of stuck) {
        lines.push(`Shard ${s.shard} cannot commit since ${clock(s.since_ms)}: ${s.voting} of ${s.replicas} replicas `
          + `vote, ${s.needed} are needed; ${s.why.join(", ")}`);
      }
      // A host that is away is missing in many shards alike.
      const alike = Map.groupBy(thin, (s) => `${s.voting} of ${s.replicas} replicas vote, ${s.needed} are needed; `
        + s.why.join(", "));
      for (const [why, some] of alike) {
        lines.push(`${some.length === 1 ? "Shard" : "Shards"} ${list(some.map((s) => s.shard))}: ${why}`);
      }
      for (const s of leaderless) {
        lines.push(`Shard ${s.shard} is choosing another primary; it commits again when it has one.`);
      }
      for (const h of silent) {
        lines.push(`Host ${h.host} (${h.address}) does not answer since ${clock(h.since_ms)}: ${h.why}`);
      }
      lines.push(...p.problems);
      const old = [...$("problems").children].map((item) => item.textContent);
      if (JSON.stringify(old) !== JSON.stringify(lines)) {
        $("problems").replaceChildren(...lines.map((line) => el("li", {}, line)));
      }
    }

    // ---- figures --------------------------------------------------------------------------------------------------

    function tiles(p) {
      const last = (values) => {
        const recent = values.slice(-10);
        return recent.reduce((a, b) => a + b, 0) / Math.max(1, recent.length);
      };
      const rate = (value) => (value >= 10 ? whole.format(Math.round(value)) : value.toFixed(1));
      const g = p.gateway || {};
      const shown = [
        ["Committed", rate(last(p.series.committed)), "a second"],
        ["Aborted", rate(last(p.series.aborted)), "a second"],
        ["Refused", rate(last(p.series.refused)), "a second"],
        ["One shard, p50", ms(p.intra.p50_us), "ms"], ["One shard, p99", ms(p.intra.p99_us), "ms"],
        ["Cross, p50", ms(p.cross.p50_us), "ms"], ["Cross, p99", ms(p.cross.p99_us), "ms"],
        ["Queued", number(g.queued), ""], ["In flight", number(g.in_flight), ""],
        ["Backing off", number(g.backing_off), ""],
      ];
      const dl = $("tiles");
      if (!dl.children.length) {
        dl.append(...shown.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}, el("span", {}), " ",
          el("small", {})))));
      }
      shown.forEach(([, value, unit], i) => {
        const dd = dl.children[i].lastChild;
        text(dd.firstChild, value);
        text(dd.lastChild, unit);
      });
    }

    // ---- charts ---------------------------------------------------------------------------------------------------

    const dashes = { solid: "", dashed: "6 3", dotted: "2 3" };

    /**
     * Lines over the last two minutes. `lines` are {name, values, color, dash}; values of null are gaps.
     * `scale` is "linear" from zero, or "log".
     */
    function chart(holder, lines, scale, unit, endMs) {
      const width = Math.max(260, holder.clientWidth), height = 150, left = 46, right = 8, top = 8, bottom = 20;
      const all = lines.flatMap((line) => line.values).filter((v) => v !== null && v > 0);
      const count = Math.max(...lines.map((line) => line.values.length));
      let [low, high] = [0, niceAbove(Math.max(...all, scale === "log" ? 10 : 4))];
      if (scale === "log") low = all.length ? 10 ** Math.floor(Math.log10(Math.min(...all))) : 1;
      if (scale === "log" && high <= low) high = low * 10;
      const x = (i) => left + (i / Math.max(1, count - 1)) * (width - left - right);
      const part = scale === "log"
        ? (v) => (Math.log10(Math.max(v, low)) - Math.log10(low)) / (Math.log10(high) - Math.log10(low))
        : (v) => v / high;
      const y = (v) => height - bottom - part(v) * (height - top - bottom);
      const ticks = scale === "log" ? decades(low, high) : [0, high / 2, high];
      const svg = el("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
      for (const tick of ticks) {
        svg.append(el("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "axis" }),
          el("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
      }
      svg.append(el("text", { x: left, y: height - 5 }, clock(endMs - count * 1000)),
        el("text", { x: width - right, y: height - 5, "text-anchor": "end" }, clock(endMs)));
      for (const line of lines) {
        let run = [];
        const flush = () => {
          if (run.length === 1) run.push([run[0][0] + 1.5, run[0][1]]);
          if (run.length) {
            svg.append(el("polyline", { class: `line c-${line.color}`, "stroke-dasharray": dashes[line.dash],
              points: run.map((point) => point.map((v) => v.toFixed(1)).join(",")).join(" ") }));
          }
          run = [];
        };
        line.values.forEach((v, i) => (v === null ? flush() : run.push([x(i), y(v)])));
        flush();
      }
      const newest = (line) => [...line.values].reverse().find((v) => v !== null);
      const words = lines.map((line) => {
        const known = line.values.filter((v) => v !== null);
        return known.length
          ? `${line.name}: now ${short(newest(line))}, most ${short(Math.max(...known))} ${unit}` : `${line.name}: none`;
      });
      svg.setAttribute("aria-label", `Chart of the last ${count} seconds. ${words.join("; ")}`);
      const key = el("ul", { class: "key" }, ...lines.map((line) => {
        const sample = el("svg", { width: 26, height: 8, "aria-hidden": "true" },
          el("line", { x1: 0, x2: 26, y1: 4, y2: 4, class: `line c-${line.color}`,
            "stroke-dasharray": dashes[line.dash] }));
        const value = newest(line);
        return el("li", {}, sample, `${line.name} ${value === undefined ? "–" : short(value)}`);
      }));
      holder.replaceChildren(svg, key);
    }

    function niceAbove(value) {
      const base = 10 ** Math.floor(Math.log10(value));
      return [1, 2, 5, 10].map((factor) => factor * base).find((nice) => nice >= value);
    }

    function decades(low, high) {
      const ticks = [];
      for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(tick);
      return ticks;
    }

    function short(value) {
      if (value >= 10000) return `${whole.format(Math.round(value / 1000))}k`;
      if (value >= 100 || Number.isInteger(value)) return whole.format(Math.round(value));
      return value >= 10 ? value.toFixed(1) : String(Number(value.toPrecision(2)));
    }

    function charts(p) {
      const s = p.series;
      const inMs = (values) => values.map((us) => (us === null ? null : us / 1000));
      chart($("rate-chart"), [
        { name: "committed", values: s.committed, color: "ok", dash: "solid" },
        { name: "aborted", values: s.aborted, color: "warn", dash: "dashed" },
        { name: "refused", values: s.refused, color: "bad", dash: "dotted" },
      ], "linear", "a second", s.end_ms);
      chart($("latency-chart"), [
        { name: "one shard p50", values: inMs(s.intra_p50_us), color: "blue", dash: "solid" },
        { name: "one shard p99", values: inMs(s.intra_p99_us), color: "blue", dash: "dotted" },
        { name: "cross p50", values: inMs(s.cross_p50_us), color: "violet", dash: "solid" },
        { name: "cross p99", values: inMs(s.cross_p99_us), color: "violet", dash: "dotted" },
      ], "log", "ms", s.end_ms);
    }

    // ---- tables ---------------------------------------------------------------------------------------------------

    const standings = {
      votes: ["ok", null, null], changing_view: ["warn", "▲", "changes its view"],
      not_voting: ["warn", "▲", "does not vote yet"], halted: ["bad", "✕", "halted"],
      no_answer: ["bad", "✕", "no answer"],
    };

    function shardsTable(p) {
      const columns = p.hosts.map((h) => h.host);
      const heads = columns.map((h) => ({ text: `Host ${h}`, head: "col" }));
      fill($("shards").tHead, [[{ text: "Shard", head: "col" }, ...heads]]);
      const cells = new Map(p.replicas.map((r) => [`${r.shard}/${r.host}`, r]));
      fill($("shards").tBodies[0], p.shards.map((s) => [
        {
          text: `Shard ${s.shard}`, head: "row",
          sub: [s.commits ? "✓ commits" : "✕ cannot commit", `${s.voting} of ${s.replicas} vote`],
        },
        ...columns.map((h) => replicaCell(cells.get(`${s.shard}/${h}`))),
      ]));
    }

    function replicaCell(r) {
      if (!r) return { text: "no replica", class: "muted" };
      const [kind, sign, word] = standings[r.standing] || ["warn", "▲", r.standing];
      const role = r.role === "unknown" ? `replica ${r.replica}` : r.role;
      const sub = [];
      if (word) sub.push(word);
      if (r.view !== undefined) {
        sub.push(`view\u00a0${number(r.view)} · seq\u00a0${number(r.executed)}`);
        sub.push(`lag\u00a0${number(r.lag)}` + (r.waiting ? ` · ${number(r.waiting)}\u00a0wait` : ""));
      }
      return {
        text: role, sign: sign || (r.role === "primary" ? "◆" : "●"), class: kind, sub,
        title: r.detail || `stable ${number(r.stable)}, on disk ${number(r.flushed)}`,
      };
    }

    function hostsTable(p) {
      const ahead = (value) => (value === undefined ? "–" : `${value > 0 ? "+" : ""}${number(value)} ms`);
      fill($("hosts").tBodies[0], p.hosts.map((h) => [
        { text: String(h.host), head: "row", sub: [h.address] },
        h.answers
          ? { text: "answers", sign: "✓", class: "ok", sub: [`for ${span(p.at_ms - h.since_ms)}`] }
          : { text: "no answer", sign: "✕", class: "bad", title: h.why, sub: [`since ${clock(h.since_ms)}`] },
        num(ms(h.round_trip_us)), num(ms(h.shortest_round_trip_us)), num(ahead(h.clock_ahead_ms)), num(h.view_changes),
      ]));
    }

    function queuesTable(p) {
      const g = p.gateway;
      text($("queues-text"), g
        ? `${number(g.backing_off)} back off after a refusal or silence; ${number(g.settling)} answered and still being `
          + `told to shards. Since start: ${number(g.completed)} answered, ${number(g.rejected)} refused, `
          + `${number(g.retransmissions)} sent again after silence, ${number(g.conflicts)} after a conflict.`
        : "The gateway is being stopped.");
      fill($("queues").tBodies[0], (g ? g.lanes : []).map((lane) => [
        head(lane.shard), num(lane.queued), num(lane.in_flight),
        lane.breaker_open
          ? { text: "open: refused", sign: "✕", class: "bad" } : { text: "closed", sign: "✓", class: "ok" },
      ]));
    }

    function abortsTable(p) {
      const rows = [...p.aborts.map((r) => ["aborted", r]), ...p.refusals.map((r) => ["refused", r])]
        .filter(([, r]) => r.total > 0)
        .map(([kind, r]) => [head(`${kind}: ${r.text}`), num(r.last_minute), num(r.total)]);
      fill($("aborts").tBodies[0], rows);
      text($("aborts-none"), rows.length ? "" : "Nothing was aborted or refused since the gateway started.");
    }

    function trafficTable(p) {
      const t = p.traffic;
      const heads = t.labels.map((label) => ({ text: label, head: "col" }));
      fill($("traffic").tHead, [[{ text: "from ↓ to →", head: "col" }, ...heads]]);
      const most = Math.max(1, ...t.cells.flat());
      fill($("traffic").tBodies[0], t.cells.map((row, i) => [
        head(t.labels[i]),
        ...row.map((count) => ({ text: number(count), heat: count ? (0.06 + 0.34 * count / most).toFixed(2) : undefined })),
      ]));
    }

    function doubtsTable(p) {
      const held = p.shards.filter((s) => s.undecided > 0).map((s) =>
        `shard ${s.shard} has ${number(s.undecided)} (oldest ${ms(s.oldest_undecided_ms * 1000)} ms)`);
      const waiting = p.gateway ? p.gateway.undecided : 0;
      text($("doubt-text"), `Undecided records, as replicas say: ${held.length ? held.join(", ") : "none"}. `
        + "At this gateway " + (waiting
          ? `${number(waiting)} transactions over several shards have no decision yet; the oldest:`
          : "no transaction over several shards waits for a decision."));
      $("doubt-region").hidden = p.doubts.length === 0;
      fill($("doubts").tBodies[0], p.doubts.map((d) => [
        { text: d.request.slice(0, 16), title: d.request, class: "mono" }, num(`${number(d.age_ms)} ms`), list(d.shards),
        list(d.voted), d.waits_for.length ? `shard ${d.waits_for.join(", shard ")}` : "the outcome of a call",
      ]));
    }

    const stepNames = {
      first_received: "the first backup has it", quorum_received: "2f + 1 have it", last_received: "all have it",
      first_executed: "the first has executed it", quorum_executed: "f + 1 have executed it",
      last_executed: "all have executed it",
    };

    /** What primaries sent if there is any, as it carries the batches; otherwise PREPAREs. */
    function linkCell(links, from, to) {
      const both = links.filter((l) => l.from === from && l.to === to);
      return both.find((l) => l.message === "pre_prepare") || both[0];
    }

    function propagationTables(p) {
      const found = p.propagation || { steps: [], links: [], seconds: 60, sampled_each: 1 };
      const hosts = p.hosts.map((h) => h.host);
      const most = Math.max(1, ...found.links.map((l) => l.p50_us || 0));
      text($("spread-text"), `Median and p99 in ms of the last minute, from the host of the row to that of the column: `
        + "from a message's handing over to the sender's connections until it is read.");
      fill($("links").tHead, [[{ text: "from ↓ to →", head: "col" },
        ...hosts.map((h) => ({ text: `host ${h}`, head: "col" }))]]);
      fill($("links").tBodies[0], hosts.map((from) => [head(`host ${from}`), ...hosts.map((to) => {
        const l = linkCell(found.links, from, to);
        if (!l) return { text: "", title: from === to ? "itself" : "nothing was sent" };
        return { text: ms(l.p50_us) + (l.message === "prepare" ? " *" : ""), sub: [ms(l.p99_us)],
          heat: (0.06 + 0.34 * (l.p50_us || 0) / most).toFixed(2),
          title: `${number(l.count)} messages` + (l.error_us ? `, known to ±${ms(l.error_us)} ms` : "") };
      })]));
      fill($("steps").tBodies[0], found.steps.map((s) => [
        head(stepNames[s.step] || s.step), num(ms(s.p50_us)), num(ms(s.p99_us)), num(s.count),
      ]));
      const error = Math.max(0, ...found.links.map((l) => l.error_us));
      text($("spread-note"), !found.links.length ? "No batch was seen in the last minute."
        : `PRE-PREPAREs, which carry batches; * PREPAREs, of hosts that led no shard. One batch in ${found.sampled_each} `
          + (error ? `is looked at. Clocks are known to ±${ms(error)} ms over a link.`
            : "is looked at. All hosts have the clock of this machine."));
    }

    function recordsTable(p) {
      const records = p.records || [];
      $("records-region").hidden = records.length === 0;
      fill($("records").tBodies[0], records.map((r) => [
        { text: r.request.slice(0, 16), title: r.request, class: "mono" }, num(`${number(r.age_ms)} ms`), list(r.shards),
        r.waits_for.length ? `shard ${r.waits_for.join(", shard ")}` : "the decision",
      ]));
    }

    function recentTable(p) {
      const table = $("recent");
      text($("recent-text"), p.trace_rate > 0
        ? `The newest of those that are traced (${(p.trace_rate * 100).toPrecision(3)} %); choose one to see where its `
          + "time went. The list stands still while you are in it."
        : "Tracing is off: start the cluster with quorate cluster up FOLDER --trace-rate 1 to see waterfalls.");
      if (table.matches(":hover") || table.contains(document.activeElement)) return;
      fill(table.tBodies[0], p.recent.slice(0, 12).map((r) => [
        { text: r.request.slice(0, 16), title: r.request, class: "mono" }, num(span(r.ago_ms)), num(ms(r.latency_us)),
        list(r.shards), { text: r.text, sign: r.outcome === "committed" ? "✓" : "✕",
          class: r.outcome === "committed" ? "ok" : "warn" },
      ]));
      p.recent.slice(0, 12).forEach((r, i) => {
        const cell = table.tBodies[0].rows[i].cells[0];
        if (!r.traced || cell.querySelector("button")) return;
        const button = el("button", { type: "button", class: "mono", "aria-label": `Waterfall of ${r.request}` },
          r.request.slice(0, 16));
        button.addEventListener("click", () => showTrace(r.request));
        cell.replaceChildren(button);
      });
    }

    // ---- waterfall ------------------------------------------------------------------------------------------------

    async function showTrace(request) {
      $("txid").value = request;
      $("waterfall").hidden = false;
      const say = (words, isTable) => {
        text($("waterfall-text"), words);
        $("waterfall-region").hidden = !isTable;
      };
      say("Asking all hosts …", false);
      let answer;
      try {
        const response = await fetch(`/api/v1/trace/${encodeURIComponent(request)}`);
        answer = await response.json();
        if (!response.ok) return say(`${answer.title}: ${answer.detail}`, false);
      } catch (error) {
        return say("The gateway does not answer.", false);
      }
      const whole = Math.max(1, answer.total_us);
      say(`${answer.request} on ${answer.shards.length === 1 ? "shard" : "shards"} ${answer.shards.join(" and ")}: `
        + `${ms(answer.total_us)} ms from the first that is known of it to the last.`, true);
      const lanes = Map.groupBy(answer.spans, (s) =>
        s.process + (s.shard === undefined ? "" : `, shard ${s.shard}${s.primary ? " (primary)" : ""}`));
      for (const old of [...$("spans").tBodies]) old.remove();
      for (const [lane, spans] of lanes) {
        const body = el("tbody", {}, el("tr", {}, el("th", { scope: "rowgroup", colspan: 4 }, lane)));
        for (const s of spans) {
          const bar = el("div", { class: "bar" });
          bar.style.setProperty("left", `${(100 * s.from_us) / whole}%`);
          bar.style.setProperty("width", `${(100 * s.takes_us) / whole}%`);
          body.append(el("tr", {}, el("td", {}, s.name), el("td", { class: "num" }, ms(s.from_us)),
            el("td", { class: "num" }, ms(s.takes_us)),
            el("td", { class: "barcol", "aria-hidden": "true" }, el("div", { class: "track" }, bar))));
        }
        $("spans").append(body);
      }
      $("waterfall").focus();
    }

    $("trace-form").addEventListener("submit", (event) => {
      event.preventDefault();
      showTrace($("txid").value.trim());
    });

    // ---- stream ---------------------------------------------------------------------------------------------------

    let picture = null, shownVerdict = "", stream = null, heardAt = 0, lostAt = 0, retry = 0, retryTimer = 0;

    function draw(p) {
      text($("cluster"), p.cluster.slice(0, 8));
      const parts = [
        verdict, tiles, charts, shardsTable, hostsTable, queuesTable, abortsTable, trafficTable,
        propagationTables, doubtsTable, recordsTable, recentTable,
      ];
      for (const part of parts) part(p);
    }

    function connected() {
      [lostAt, retry] = [0, 0];
      document.body.classList.remove("stale");
      $("connection").className = "chip ok";
      text($("connection"), "✓ live");
    }

    function disconnected() {
      if (!lostAt) lostAt = Date.now();
      document.body.classList.add("stale");
      $("connection").className = "chip bad";
      text($("connection"), `✕ disconnected, since ${clock(lostAt)}`);
      if (!picture) return;
      $("verdict").className = "banner wait";
      text($("verdict"), `? Not known now. At ${clock(picture.at_ms)} it was: ${shownVerdict}`);
      document.title = "✕ Quorate: disconnected";
    }

    function open() {
      clearTimeout(retryTimer);
      if (stream) stream.close();
      heardAt = Date.now();
      stream = new EventSource("/api/v1/events");
      stream.addEventListener("picture", (event) => {
        heardAt = Date.now();
        let next;
        try { next = JSON.parse(event.data); } catch (error) { return; }
        if (next.schema !== 1) {
          $("connection").className = "chip bad";
          return text($("connection"), "✕ the gateway has another version: load this page again");
        }
        picture = next;
        connected();
        draw(picture);
      });
      stream.addEventListener("error", () => {
        disconnected();
        // The browser comes back by itself after a lost connection, and not after an answer that says no.
        if (stream.readyState === EventSource.CLOSED) later();
      });
    }

    function later() {
      clearTimeout(retryTimer);
      retry = Math.min(retry + 1, 5);
      retryTimer = setTimeout(open, 1000 * retry);
    }

    // A connection may be gone without a word.
    setInterval(() => {
      if (Date.now() - heardAt < 5000) return;
      disconnected();
      if (Date.now() - heardAt > 8000) open();
    }, 1000);
    addEventListener("resize", () => picture && charts(picture));
    open();
    """#
