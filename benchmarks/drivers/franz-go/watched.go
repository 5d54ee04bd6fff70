package main

import (
	"context"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// heldBytes are those that live after a collection, and the stacks.
func heldBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

func idleClients(o options) {
	values := readPayload(o)
	before := heldBytes()
	clients := make([]*kgo.Client, o.clients)
	for i := range clients {
		clients[i] = newProducer(o)
		record := &kgo.Record{Topic: o.topic, Value: values[i%len(values)]}
		if err := clients[i].ProduceSync(context.Background(), record).FirstErr(); err != nil {
			die("produce: %v", err)
		}
	}
	each := float64(heldBytes()-before) / float64(o.clients)
	from := settle(time.Second)
	time.Sleep(time.Duration(o.seconds) * time.Second)
	reportIdle(o, from, each)
	runtime.KeepAlive(clients)
}

func idlePartitions(o options) {
	before := heldBytes()
	client := newConsumer(o)
	pollFor(client, 3*time.Second)
	each := float64(heldBytes()-before) / float64(o.partitions)
	from := settle(time.Second)
	pollFor(client, time.Duration(o.seconds)*time.Second)
	reportIdle(o, from, each)
	runtime.KeepAlive(client)
}

func pollFor(client *kgo.Client, long time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	client.PollFetches(ctx)
}

func settle(long time.Duration) usage {
	time.Sleep(long)
	settled()
	return usageNow()
}

func reportIdle(o options, from usage, each float64) {
	switches := usageNow().self.Nvcsw - from.self.Nvcsw
	reportWith(o, from, map[string]float64{
		"bytes_each":    each,
		"wakeups_per_s": float64(switches) / float64(o.seconds),
	})
}

func stall(o options) {
	client := newConsumer(o, kgo.FetchMaxBytes(16<<20))
	client.PollRecords(context.Background(), 1)
	from := usageNow()
	var most int64
	for range o.seconds * 4 {
		time.Sleep(250 * time.Millisecond)
		most = max(most, heldBytes())
	}
	reportWith(o, from, map[string]float64{"held_mib": float64(most) / (1 << 20)})
	runtime.KeepAlive(client)
}
