// The load of deploy/compare on PostgreSQL: transfers of a file, over one server or over several as shards.
//
//   transfers ROWS CLIENTS WARMUP DURATION PORT...
//
// ROWS has lines "from,to,amount". Account A is on shard A mod (number of PORTs). Each client has one transfer in
// flight and then takes the next row; the file starts over as often as needed. Seconds of warm-up are a part of the
// duration and left out of the figures. Prints one JSON object, with the keys that "quorate bench --json" has.
//
// One thread for all clients, as the load of "quorate bench" has: what it costs is taken from the servers, which run on
// the same cores. A step of a transfer is one message to each of its servers: all statements in one query.
#include <errno.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { MAX_SHARDS = 16, INTERVAL_MS = 100 };

typedef struct {
    int from, to;
    long amount;
} Row;

typedef struct {
    uint32_t *us;
    size_t count, room;
} Latencies;

typedef enum { PAYING, COMMITTING, ROLLING_BACK } Step;

typedef struct {
    PGconn *connections[MAX_SHARDS];
    Row row;
    uint64_t began;
    Step step;
    int waiting;          // servers that have not answered this step
    int failed[2];        // of the step PAYING: by side, that of the payer first
    unsigned long number; // of the attempt; with the client's own it names a prepared transaction
} Client;

// What an event is about.
typedef struct {
    Client *client;
    PGconn *connection;
    int shard;
} Source;

static int shards, clientCount, active;
static Client *clients;
static Row *rows;
static size_t rowCount, nextRow;
static uint64_t start, measureFrom, end, lastOutcome;
static Latencies intra, cross;
static uint32_t *timeline;
static size_t intervals, lastInterval;
static unsigned long committed, retriesForFunds, retriesForLocks;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *room(void *old, size_t bytes) {
    void *new = realloc(old, bytes);
    if (!new) die("out of memory");
    return new;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int shardOf(int account) { return account % shards; }
static int crosses(const Client *c) { return shardOf(c->row.from) != shardOf(c->row.to); }

static void say(Client *c, int shard, const char *query) {
    if (!PQsendQuery(c->connections[shard], query)) die("%s", PQerrorMessage(c->connections[shard]));
    c->waiting++;
}

// Both sides of a transfer over two shards prepare at the same time. Inside a shard the accounts are locked in
// ascending order, so that no two transfers wait for each other.
static void pay(Client *c) {
    static const char *update = "update account set balance = balance %c %ld where id = %d";
    char first[160], second[160], query[480];
    int from = c->row.from, to = c->row.to;
    c->step = PAYING;
    c->number++;
    c->failed[0] = c->failed[1] = 0;
    snprintf(first, sizeof first, update, '-', c->row.amount, from);
    snprintf(second, sizeof second, update, '+', c->row.amount, to);
    if (crosses(c)) {
        static const char *half = "begin; %s; prepare transaction 'q_%td_%lu'";
        snprintf(query, sizeof query, half, first, c - clients, c->number);
        say(c, shardOf(from), query);
        snprintf(query, sizeof query, half, second, c - clients, c->number);
        say(c, shardOf(to), query);
    } else {
        snprintf(query, sizeof query, "begin; %s; %s; commit", from < to ? first : second, from < to ? second : first);
        say(c, shardOf(from), query);
    }
}

static void begin(Client *c, uint64_t time) {
    if (time >= end) {
        active--;
        return;
    }
    c->row = rows[nextRow++ % rowCount];
    c->began = time;
    pay(c);
}

static void record(Client *c, uint64_t time) {
    size_t interval = (time - start) / (INTERVAL_MS * 1000000ull);
    if (interval < intervals) {
        timeline[interval]++;
        if (interval > lastInterval) lastInterval = interval;
    }
    if (time < measureFrom) return;
    Latencies *latencies = crosses(c) ? &cross : &intra;
    if (latencies->count == latencies->room) {
        latencies->room = latencies->room ? 2 * latencies->room : 65536;
        latencies->us = room(latencies->us, latencies->room * sizeof *latencies->us);
    }
    uint64_t us = (time - c->began) / 1000;
    latencies->us[latencies->count++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    committed++;
    lastOutcome = time;
}

// All servers have answered the step.
static void advance(Client *c) {
    int failed = c->failed[0] || c->failed[1];
    if (c->step == ROLLING_BACK) {
        pay(c);
    } else if (c->step == PAYING && (failed || crosses(c))) {
        char prepared[80];
        c->step = failed ? ROLLING_BACK : COMMITTING;
        snprintf(prepared, sizeof prepared, "%s prepared 'q_%td_%lu'", failed ? "rollback" : "commit", c - clients,
                 c->number);
        say(c, shardOf(c->row.from), c->failed[0] ? "rollback" : prepared);
        if (crosses(c)) say(c, shardOf(c->row.to), c->failed[1] ? "rollback" : prepared);
    } else {
        uint64_t time = now();
        record(c, time);
        begin(c, time);
    }
}

// A payment that must wait for an earlier row's money, or for a lock, is tried again; anything else ends the load.
static void note(Client *c, int shard, const PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        // "prepare transaction" of a transaction that cannot commit succeeds, and rolls back.
        if (strcmp(PQcmdStatus((PGresult *)result), "ROLLBACK") || c->step == ROLLING_BACK) return;
        die("shard %d: a transaction was rolled back unasked", shard);
    }
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (c->step == PAYING && code && !strcmp(code, "23514")) retriesForFunds++;                   // check_violation
    else if (c->step == PAYING && code && (!strcmp(code, "55P03") || !strcmp(code, "40P01"))) retriesForLocks++;
    else die("shard %d: %s", shard, PQresultErrorMessage(result));
    c->failed[crosses(c) && shard == shardOf(c->row.to)] = 1;
}

static void receive(Source *source) {
    Client *c = source->client;
    if (!PQconsumeInput(source->connection)) die("shard %d: %s", source->shard, PQerrorMessage(source->connection));
    while (!PQisBusy(source->connection)) {
        PGresult *result = PQgetResult(source->connection);
        if (!result) {
            if (--c->waiting == 0) advance(c);
            return;
        }
        note(c, source->shard, result);
        PQclear(result);
    }
}

static PGconn *connectTo(const char *port, int client) {
    // Transfers over two shards can wait for each other in a ring that no server sees. It breaks where somebody gives
    // up first, so no two clients are equally patient.
    char info[200];
    snprintf(info, sizeof info,
             "host=127.0.0.1 port=%s user=quorate_load dbname=postgres connect_timeout=30 sslmode=disable "
             "gssencmode=disable options='-c lock_timeout=%d'", port, 250 + client);
    PGconn *connection = PQconnectdb(info);
    if (PQstatus(connection) != CONNECTION_OK) die("%s", PQerrorMessage(connection));
    return connection;
}

// The sum of all balances, and that nothing is left half done.
static long long money(void) {
    long long sum = 0;
    for (int shard = 0; shard < shards; shard++) {
        PGresult *result = PQexec(clients[0].connections[shard],
                                  "select sum(balance), (select count(*) from pg_prepared_xacts) from account");
        if (PQresultStatus(result) != PGRES_TUPLES_OK) die("shard %d: %s", shard, PQresultErrorMessage(result));
        sum += atoll(PQgetvalue(result, 0, 0));
        if (strcmp(PQgetvalue(result, 0, 1), "0")) die("shard %d: prepared transactions are left", shard);
        PQclear(result);
    }
    return sum;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// By nearest rank.
static uint32_t percentile(const Latencies *l, unsigned percent) {
    return l->count ? l->us[(l->count * percent + 99) / 100 - 1] : 0;
}

static void printLatencies(const char *name, Latencies *l) {
    qsort(l->us, l->count, sizeof *l->us, ascending);
    printf("\"%s\":{\"count\":%zu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u},", name, l->count, percentile(l, 50),
           percentile(l, 99), percentile(l, 100));
}

static void printFigures(void) {
    double elapsed = lastOutcome > measureFrom ? (double)(lastOutcome - measureFrom) / 1e9 : 0;
    printf("{\"committed\":%lu,\"elapsed_s\":%.6f,\"throughput_tps\":%.3f,", committed, elapsed,
           elapsed > 0 ? (double)committed / elapsed : 0);
    printLatencies("intra", &intra);
    printLatencies("cross", &cross);
    printf("\"retries\":{\"funds\":%lu,\"locks\":%lu},", retriesForFunds, retriesForLocks);
    printf("\"timeline\":{\"interval_ms\":%d,\"committed\":[", INTERVAL_MS);
    for (size_t i = 0; i <= lastInterval; i++) printf("%s%u", i ? "," : "", timeline[i]);
    puts("]}}");
}

static void readRows(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die("%s: %s", path, strerror(errno));
    Row row;
    size_t space = 0;
    while (fscanf(file, "%d,%d,%ld", &row.from, &row.to, &row.amount) == 3) {
        if (rowCount == space) rows = room(rows, (space = space ? 2 * space : 65536) * sizeof *rows);
        rows[rowCount++] = row;
    }
    if (!rowCount || !feof(file)) die("%s: line %zu is not \"from,to,amount\"", path, rowCount + 1);
    fclose(file);
}

int main(int count, char **arguments) {
    if (count < 6 || count - 5 > MAX_SHARDS) die("usage: transfers ROWS CLIENTS WARMUP DURATION PORT...");
    readRows(arguments[1]);
    clientCount = active = atoi(arguments[2]);
    double warmup = atof(arguments[3]), duration = atof(arguments[4]);
    shards = count - 5;
    clients = calloc((size_t)clientCount, sizeof *clients);
    Source *sources = calloc((size_t)clientCount * (size_t)shards, sizeof *sources);
    if (clientCount < 1 || !clients || !sources) die("%s clients are not possible", arguments[2]);
    int events = epoll_create1(EPOLL_CLOEXEC);
    if (events < 0) die("epoll: %s", strerror(errno));
    for (int client = 0; client < clientCount; client++) {
        for (int shard = 0; shard < shards; shard++) {
            Source *source = &sources[client * shards + shard];
            PGconn *connection = connectTo(arguments[5 + shard], client);
            *source = (Source){&clients[client], connection, shard};
            clients[client].connections[shard] = connection;
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
            if (epoll_ctl(events, EPOLL_CTL_ADD, PQsocket(connection), &event)) die("epoll: %s", strerror(errno));
        }
    }
    long long before = money();

    start = now();
    measureFrom = lastOutcome = start + (uint64_t)(warmup * 1e9);
    end = start + (uint64_t)(duration * 1e9);
    // What ends after the time still counts, as in the bench; a minute of that is more than enough.
    intervals = (size_t)((duration + 60) * 1000 / INTERVAL_MS);
    timeline = room(NULL, intervals * sizeof *timeline);
    memset(timeline, 0, intervals * sizeof *timeline);
    for (int client = 0; client < clientCount; client++) begin(&clients[client], now());
    while (active > 0) {
        struct epoll_event ready[64];
        int some = epoll_wait(events, ready, 64, 60000);
        if (some == 0) die("no server has answered for a minute");
        if (some < 0 && errno != EINTR) die("epoll: %s", strerror(errno));
        for (int i = 0; i < some; i++) receive(ready[i].data.ptr);
    }

    long long after = money();
    if (before != after) die("there were %lld units of money before the load, and %lld after it", before, after);
    printFigures();
    return 0;
}
