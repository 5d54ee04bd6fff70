package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// schedule says when each record is due.
type schedule struct {
	begins time.Time
	rate   int64
}

func begin(rate int64) schedule {
	return schedule{time.Now().Add(time.Millisecond), rate}
}

func (s schedule) due(i int64) time.Time {
	if s.rate == 0 {
		return s.begins
	}
	return s.begins.Add(time.Duration(i * 1e9 / s.rate))
}

// waitFor sleeps in the kernel: Go's own timers are a millisecond late.
func (s schedule) waitFor(i int64) {
	if left := time.Until(s.due(i)); left > 0 {
		pause := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&pause, nil)
	}
}

// percentiles are what half, 99 of a hundred, and 999 of a thousand stay below, in microseconds.
func percentiles(late []time.Duration) map[string]float64 {
	slices.Sort(late)
	n := len(late)
	micros := func(at int) float64 { return float64(late[at].Nanoseconds()) / 1e3 }
	return map[string]float64{
		"p50_us":  micros(n / 2),
		"p99_us":  micros(n * 99 / 100),
		"p999_us": micros(n * 999 / 1000),
	}
}

func timeAcknowledgements(o options) {
	values := readPayload(o)
	client := newProducer(o)
	defer client.Close()
	sendOnSchedule(client, o, values, o.warmup)
	from := usageNow()
	late := sendOnSchedule(client, o, values, o.records)
	reportWith(o, from, percentiles(late))
}

func sendOnSchedule(client *kgo.Client, o options, values [][]byte, n int64) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var lock sync.Mutex
	late := make([]time.Duration, 0, n)
	s := begin(o.rate)
	for i := range n {
		s.waitFor(i)
		record := &kgo.Record{Topic: o.topic, Value: values[i%int64(len(values))]}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				die("produce: %v", err)
			}
			lock.Lock()
			defer lock.Unlock()
			late = append(late, time.Since(s.due(i)))
		})
	}
	flush(client)
	return late
}

func flush(client *kgo.Client) {
	if err := client.Flush(context.Background()); err != nil {
		die("flush: %v", err)
	}
}

func transact(o options) {
	values := readPayload(o)
	client := newProducer(o, kgo.TransactionalID("bench"))
	defer client.Close()
	commitAll(client, o, values, o.warmup)
	settled()
	from := usageNow()
	commitAll(client, o, values, o.records)
	report(o, from)
}

func commitAll(client *kgo.Client, o options, values [][]byte, n int64) {
	ctx := context.Background()
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			die("produce: %v", err)
		}
	}
	for i := range n {
		if i%o.transaction == 0 {
			if err := client.BeginTransaction(); err != nil {
				die("begin: %v", err)
			}
		}
		client.Produce(ctx, &kgo.Record{Topic: o.topic, Value: values[i%int64(len(values))]}, promise)
		if (i+1)%o.transaction == 0 || i+1 == n {
			flush(client)
			if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
				die("commit: %v", err)
			}
		}
	}
}

// settled says that all is set up: what the broker counts from here on is what is measured.
func settled() {
	fmt.Println("settled")
}

func endToEnd(o options) {
	values := readPayload(o)
	producer, consumer := newProducer(o), newConsumer(o)
	thereAndBack(producer, consumer, o, values, o.warmup)
	from := usageNow()
	late := thereAndBack(producer, consumer, o, values, o.records)
	if o.rate == 0 {
		report(o, from)
		return
	}
	reportWith(o, from, percentiles(late))
}

func thereAndBack(producer, consumer *kgo.Client, o options, values [][]byte, n int64) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := begin(o.rate)
	read := make(chan []time.Duration)
	go func() {
		late := make([]time.Duration, 0, n)
		for int64(len(late)) < n {
			fetches := consumer.PollFetches(context.Background())
			if err := fetches.Err(); err != nil {
				die("poll: %v", err)
			}
			fetches.EachRecord(func(record *kgo.Record) {
				touch(record, o)
				late = append(late, time.Since(s.due(int64(len(late)))))
			})
		}
		read <- late
	}()
	for i := range n {
		if o.rate != 0 {
			s.waitFor(i)
		}
		record := &kgo.Record{Topic: o.topic, Value: values[i%int64(len(values))]}
		producer.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				die("produce: %v", err)
			}
		})
	}
	flush(producer)
	return <-read
}
