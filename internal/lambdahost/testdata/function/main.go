// Command function is a Lambda function that does as its event says, for the tests of lambdahost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Op   string `json:"op"`
	URL  string `json:"url"`
	Size int    `json:"size"`
	File string `json:"file"`
}

type answer struct {
	PID         int      `json:"pid"`
	Invocations int64    `json:"invocations"`
	Ticks       int64    `json:"ticks"`
	RequestID   string   `json:"requestId"`
	ARN         string   `json:"arn"`
	Remaining   int64    `json:"remainingMs"`
	Env         []string `json:"env,omitempty"`
	Dir         string   `json:"dir,omitempty"`
	Fill        string   `json:"fill,omitempty"`
}

var (
	invocations atomic.Int64
	ticks       atomic.Int64
	kept        [][]byte
)

func main() {
	start(os.Getenv("INIT"))
	go func() {
		for range time.Tick(time.Millisecond) {
			ticks.Add(1)
		}
	}()
	lambda.Start(handle)
}

// start fails in the way that the environment says; "once:FILE…" is only for the first process that finds no FILE.
func start(how string) {
	if rest, ok := strings.CutPrefix(how, "once:"); ok {
		file, kind, _ := strings.Cut(rest, ":")
		if _, err := os.Stat(file); err == nil {
			return
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			panic(err)
		}
		how = kind
	}
	switch how {
	case "exit":
		os.Exit(7)
	case "hang":
		time.Sleep(time.Hour)
	case "error":
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		resp, err := http.Post(url, "application/json", strings.NewReader(`{"errorType":"Function.NoTable","errorMessage":"the table is missing"}`))
		if err != nil || resp.StatusCode != http.StatusAccepted {
			panic(fmt.Sprint(resp, err))
		}
		os.Exit(1)
	}
}

func handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	n := invocations.Add(1)
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	a := answer{
		PID: os.Getpid(), Invocations: n, Ticks: ticks.Load(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn,
		Remaining: time.Until(deadline).Milliseconds(),
	}
	switch e.Op {
	case "env":
		a.Env = os.Environ()
		a.Dir, _ = os.Getwd()
	case "error":
		return nil, errors.New("as asked")
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "fill":
		a.Fill = strings.Repeat("x", e.Size)
	case "allocate":
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			kept = append(kept, block)
			time.Sleep(time.Millisecond)
		}
	case "tick":
		for before := ticks.Load(); ticks.Load() == before; {
			time.Sleep(time.Millisecond)
		}
		a.Ticks = ticks.Load()
	case "print":
		fmt.Println("to the standard output")
		fmt.Fprint(os.Stderr, "to the standard error, without an end")
	case "call":
		return a, call(e.URL)
	case "call behind":
		go call(e.URL)
		for _, err := os.Stat(e.File); err != nil; _, err = os.Stat(e.File) {
			time.Sleep(time.Millisecond)
		}
	}
	return a, nil
}

func call(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
