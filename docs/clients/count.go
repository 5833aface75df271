// Counts the event ids on standard input, each exactly once: HOST PORT COUNTER.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func addOnce(client *redis.Client, counter, token string) ([]any, error) {
	for attempt, pause := 1, 20*time.Millisecond; ; attempt, pause = attempt+1, min(2*pause, time.Second) {
		reply, err := client.Do(context.Background(), "QUIPU.ADD", counter, 1, "TOKEN", token).Slice()
		var refusal redis.Error // without an answer it is counted or not: the same token settles it
		isFinal := errors.As(err, &refusal) &&
			!redis.HasErrorPrefix(err, "UNKNOWN") && !redis.HasErrorPrefix(err, "BUSY")
		if err == nil || isFinal || attempt == 100 {
			return reply, err
		}
		time.Sleep(pause)
	}
}

func main() {
	client := redis.NewClient(&redis.Options{Addr: net.JoinHostPort(os.Args[1], os.Args[2])})
	events, repeats := 0, 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); events++ {
		reply, err := addOnce(client, os.Args[3], lines.Text())
		if err != nil {
			log.Fatal(err)
		}
		if reply[3] == "token" {
			repeats++
		}
	}
	fmt.Printf("%d events, %d of them answered again\n", events, repeats)
}
