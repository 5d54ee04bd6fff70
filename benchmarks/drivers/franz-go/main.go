// franz-go under the command line that all drivers share (../README.md).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	bootstrap, topic, codec, mode, payload string
	partitions, size, lingerMs, batchBytes int
	records, warmup                        int64
	rate, transaction, clients, seconds    int64
	keyed                                  bool
}

func main() {
	if len(os.Args) < 2 {
		die("usage: driver produce|consume --bootstrap HOST:PORT …")
	}
	o := parse(os.Args[2:])
	switch os.Args[1] {
	case "produce":
		produce(o)
	case "consume":
		consume(o)
	case "latency":
		timeAcknowledgements(o)
	case "transaction":
		transact(o)
	case "end-to-end":
		endToEnd(o)
	case "idle-clients":
		idleClients(o)
	case "idle-partitions":
		idlePartitions(o)
	case "stall":
		stall(o)
	default:
		die("%q is not known", os.Args[1])
	}
}

func parse(args []string) options {
	var o options
	f := flag.NewFlagSet("driver", flag.ExitOnError)
	f.StringVar(&o.bootstrap, "bootstrap", "", "HOST:PORT")
	f.StringVar(&o.topic, "topic", "bench", "")
	f.StringVar(&o.codec, "codec", "none", "")
	f.StringVar(&o.mode, "mode", "", "promise to produce, poll to consume")
	f.StringVar(&o.payload, "payload", "", "file of record values")
	f.IntVar(&o.partitions, "partitions", 1, "")
	f.IntVar(&o.size, "size", 100, "bytes of each value")
	f.IntVar(&o.lingerMs, "linger-ms", 5, "")
	f.IntVar(&o.batchBytes, "batch-bytes", 262144, "")
	f.Int64Var(&o.records, "records", 0, "")
	f.Int64Var(&o.warmup, "warmup", 0, "")
	f.Int64Var(&o.rate, "rate", 0, "records in a second")
	f.Int64Var(&o.transaction, "transaction", 1, "records of each transaction")
	f.Int64Var(&o.clients, "clients", 1, "")
	f.Int64Var(&o.seconds, "seconds", 10, "how long something is watched")
	f.BoolVar(&o.keyed, "keyed", false, "")
	_ = f.Parse(args)
	if o.bootstrap == "" || o.records == 0 {
		die("--bootstrap and --records are needed")
	}
	return o
}

func produce(o options) {
	if o.mode != "promise" {
		die("--mode is promise to produce")
	}
	values := readPayload(o)
	client := newProducer(o)
	defer client.Close()
	send(client, o, values, o.warmup)
	from := usageNow()
	send(client, o, values, o.records)
	report(o, from)
}

func newProducer(o options, more ...kgo.Opt) *kgo.Client {
	return newClient(o, append(more,
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(time.Duration(o.lingerMs)*time.Millisecond),
		kgo.ProducerBatchMaxBytes(int32(o.batchBytes)),
		kgo.MaxBufferedRecords(500_000),
		kgo.MaxBufferedBytes(64<<20),
		kgo.ProducerBatchCompression(codec(o.codec)),
	)...)
}

func send(client *kgo.Client, o options, values [][]byte, n int64) {
	var failed atomic.Int64
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
		}
	}
	for i := range n {
		record := &kgo.Record{
			Topic:     o.topic,
			Partition: int32(i % int64(o.partitions)),
			Value:     values[i%int64(len(values))],
		}
		if o.keyed {
			record.Key = fmt.Appendf(nil, "key-%012d", i%1_000_000)
			record.Headers = []kgo.RecordHeader{
				{Key: "trace", Value: []byte("0123456789abcdef")},
				{Key: "source", Value: []byte("bench")},
			}
		}
		client.Produce(context.Background(), record, promise)
	}
	if err := client.Flush(context.Background()); err != nil {
		die("flush: %v", err)
	}
	if failed.Load() != 0 {
		die("%d records were not acknowledged", failed.Load())
	}
}

func consume(o options) {
	if o.mode != "poll" {
		die("--mode is poll to consume")
	}
	client := newConsumer(o)
	receive(client, o, o.warmup)
	began := usageNow()
	receive(client, o, o.records)
	report(o, began)
	client.Close()
}

func newConsumer(o options, more ...kgo.Opt) *kgo.Client {
	from := map[int32]kgo.Offset{}
	for p := range o.partitions {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	return newClient(o, append(more,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: from}),
		kgo.FetchMaxPartitionBytes(1<<20),
	)...)
}

var touched uint64

func receive(client *kgo.Client, o options, n int64) {
	for seen := int64(0); seen < n; {
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			die("poll: %v", err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			touch(record, o)
			seen++
		})
	}
}

func touch(record *kgo.Record, o options) {
	if len(record.Value) != o.size {
		die("a value of %d bytes", len(record.Value))
	}
	touched += uint64(record.Value[0]) + uint64(record.Value[o.size-1])
}

func newClient(o options, more ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(o.bootstrap))...)
	if err != nil {
		die("%v", err)
	}
	return client
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "none":
		return kgo.NoCompression()
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	die("--codec %s is not known", name)
	return kgo.NoCompression()
}

func readPayload(o options) [][]byte {
	bytes, err := os.ReadFile(o.payload)
	if err != nil {
		die("%v", err)
	}
	var values [][]byte
	for at := 0; at+o.size <= len(bytes); at += o.size {
		values = append(values, bytes[at:at+o.size])
	}
	return values
}

// usage is what the process has used so far.
type usage struct {
	wall time.Time
	self syscall.Rusage
}

func usageNow() usage {
	u := usage{wall: time.Now()}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u.self); err != nil {
		die("getrusage: %v", err)
	}
	return u
}

func report(o options, from usage) {
	reportWith(o, from, map[string]float64{})
}

func reportWith(o options, from usage, figures map[string]float64) {
	to := usageNow()
	line, err := json.Marshal(map[string]any{
		"client":               "franz-go",
		"version":              version(),
		"records":              o.records,
		"seconds":              to.wall.Sub(from.wall).Seconds(),
		"user_ns":              to.self.Utime.Nano() - from.self.Utime.Nano(),
		"sys_ns":               to.self.Stime.Nano() - from.self.Stime.Nano(),
		"rss_kib":              to.self.Maxrss,
		"voluntary_switches":   to.self.Nvcsw - from.self.Nvcsw,
		"involuntary_switches": to.self.Nivcsw - from.self.Nivcsw,
		"figures":              figures,
	})
	if err != nil {
		die("%v", err)
	}
	fmt.Println(string(line))
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "?"
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			return module.Version
		}
	}
	return "?"
}

func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "franz-go driver: "+format+"\n", args...)
	os.Exit(1)
}
