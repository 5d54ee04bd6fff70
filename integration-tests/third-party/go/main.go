// franz-go: transactions of the newest protocol that the broker has, with a group session.
//
//	go run . BOOTSTRAP
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var bootstrap = strings.Split(os.Args[1], ",")

func expect(what string, expected, actual any) {
	if !reflect.DeepEqual(expected, actual) {
		fmt.Printf("franz-go: %s: expected %v, got %v\n", what, expected, actual)
		os.Exit(1)
	}
	fmt.Printf("ok: franz-go: %s\n", what)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("franz-go:", err)
		os.Exit(1)
	}
	return value
}

func client(options ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap...))...))
}

func values(ctx context.Context, isolation kgo.IsolationLevel, count int) []string {
	reader := client(kgo.ConsumeTopics("go-out"), kgo.FetchIsolationLevel(isolation),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer reader.Close()
	var found []string
	for len(found) < count {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		fetches.EachRecord(func(record *kgo.Record) { found = append(found, string(record.Value)) })
	}
	return found
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	source := client()
	defer source.Close()
	admin := kadm.NewClient(source)
	must(admin.CreateTopics(ctx, 1, -1, nil, "go-in", "go-out"))
	var expected []string
	for number := range 100 {
		value := fmt.Sprintf("in-%d", number)
		expected = append(expected, fmt.Sprintf("out-%d", number))
		must(source.ProduceSync(ctx, &kgo.Record{Topic: "go-in", Value: []byte(value)}).First())
	}

	// The first round is aborted once it is written, so that all of it is consumed again.
	session := must(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap...),
		kgo.TransactionalID("go"),
		kgo.ConsumerGroup("go-group"),
		kgo.ConsumeTopics("go-in"),
		kgo.RequireStableFetchOffsets(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	))
	committed := 0
	for round := 0; committed < 100; round++ {
		fetches := session.PollFetches(ctx)
		if ctx.Err() != nil {
			must(0, ctx.Err())
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			panic(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			value := strings.Replace(string(record.Value), "in", "out", 1)
			session.Produce(ctx, &kgo.Record{Topic: "go-out", Value: []byte(value)}, nil)
		})
		if err := session.Client().Flush(ctx); err != nil {
			panic(err)
		}
		if must(session.End(ctx, kgo.TransactionEndTry(round > 0))) {
			committed += fetches.NumRecords()
		}
	}
	offsets := must(admin.FetchOffsets(ctx, "go-group"))
	at, _ := offsets.Lookup("go-in", 0)
	expect("the offsets are committed", int64(100), at.At)
	session.Close()
	expect("what was aborted is not read", expected, values(ctx, kgo.ReadCommitted(), 100))
	expect("but by who asks for all", true, len(values(ctx, kgo.ReadUncommitted(), 101)) > 100)

	elder := client(kgo.TransactionalID("go-fenced"))
	defer elder.Close()
	if err := elder.BeginTransaction(); err != nil {
		panic(err)
	}
	must(elder.ProduceSync(ctx, &kgo.Record{Topic: "go-out", Value: []byte("of the elder")}).First())
	younger := client(kgo.TransactionalID("go-fenced"))
	defer younger.Close()
	_, _, err := younger.ProducerID(ctx)
	expect("a younger producer takes over", nil, err)
	err = elder.EndTransaction(ctx, kgo.TryCommit)
	fenced := errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
	expect("the elder producer is fenced", true, fenced)
}
