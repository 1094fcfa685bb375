package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
)

// warmCalls is how many calls of a kind follow a cold one in a round.
const warmCalls = 20

// awsFigures are what the rounds gave.
type awsFigures struct {
	// ready and answered are in milliseconds from the execution, by function; starts is what was asked until it was ready, firsts what was
	// asked for its first event, by process.
	ready, answered     map[string]series
	starts, firsts      map[string][][]awsCall
	warmCreate, warmGet [][]awsCall
	getLatency          series
	createLatency       series
}

// callEvent is a call as an HTTP API hands it to the function.
func (s *awsStack) callEvent(method, path, body, idempotencyKey string) ([]byte, error) {
	e := lambdaevents.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "$default", RawPath: path, Body: body,
		Headers: map[string]string{
			"authorization": "Bearer " + s.key, "domicile-tenant": caller, "content-type": "application/json", "host": "api.example.com",
		},
	}
	if idempotencyKey != "" {
		e.Headers["idempotency-key"] = idempotencyKey
	}
	e.RequestContext.HTTP.Method, e.RequestContext.HTTP.Path, e.RequestContext.HTTP.SourceIP = method, path, loopback
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("making an event: %w", err)
	}
	return data, nil
}

// call sends a call through the function and returns the id of the user that it is about, and when the answer came.
func (s *awsStack) call(f *function, serial *serial, id string) (string, time.Time, error) {
	event, err := s.callEvent(http.MethodGet, "/v1/users/"+id, "", "")
	if id == "" {
		name := serial.next()
		body := `{"givenName":"Ada","familyName":"Lovelace","email":"` + name + `@example.com","locale":"en-GB","role":"ROLE_MEMBER"}`
		event, err = s.callEvent(http.MethodPost, "/v1/users", body, name)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	raw, at, err := f.invoke(event)
	if err != nil {
		return "", at, err
	}
	var answer lambdaevents.APIGatewayV2HTTPResponse
	var user struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.StatusCode != http.StatusOK {
		return "", at, errors.Join(fmt.Errorf("a call was answered %s", raw), err)
	}
	if err := json.Unmarshal([]byte(answer.Body), &user); err != nil || user.ID == "" {
		return "", at, errors.Join(fmt.Errorf("a call was answered without an id: %s", answer.Body), err)
	}
	return user.ID, at, nil
}

// measureAWS runs the rounds.
func (s *awsStack) measure(ctx context.Context, stderr io.Writer) (*awsFigures, error) {
	f := &awsFigures{
		ready: map[string]series{}, answered: map[string]series{}, starts: map[string][][]awsCall{}, firsts: map[string][][]awsCall{},
	}
	if err := s.startServices(ctx); err != nil { // It makes the tenants and their keys.
		return nil, err
	}
	if err := s.introduce(ctx); err != nil {
		return nil, err
	}
	for round := range s.options.awsRounds {
		_, _ = fmt.Fprintf(stderr, "functions over a cloud in memory, round %d of %d\n", round+1, s.options.awsRounds)
		if err := errors.Join(s.stopServices(), s.startServices(ctx)); err != nil {
			return nil, err
		}
		if err := s.edgeRound(ctx, f); err != nil {
			return nil, err
		}
		for _, name := range functionNames()[1:] {
			if err := s.workerRound(ctx, f, name); err != nil {
				return nil, fmt.Errorf("the function %s: %w", name, err)
			}
		}
	}
	return f, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// edgeRound measures a cold edge before cold services with a create, and then warm creates and gets.
func (s *awsStack) edgeRound(ctx context.Context, f *awsFigures) error {
	serial := newSerial()
	mark := s.cloud.mark()
	edge, ready, err := s.startFunction(ctx, "edge", abroadAWS)
	if err != nil {
		return err
	}
	f.note("edge", ready, by(s.cloud.since(mark), "edge"))
	mark = s.cloud.mark()
	id, at, err := s.call(edge, serial, "")
	if err != nil {
		return errors.Join(err, edge.stop())
	}
	f.firsts["edge"] = append(f.firsts["edge"], by(s.cloud.since(mark), "edge"))
	f.firsts[servicesCaller] = append(f.firsts[servicesCaller], by(s.cloud.since(mark), servicesCaller))
	f.answered["edge"] = append(f.answered["edge"], milliseconds(at.Sub(edge.begin)))
	for range warmCalls {
		begin, mark := time.Now(), s.cloud.mark()
		if id, at, err = s.call(edge, serial, ""); err != nil {
			return errors.Join(err, edge.stop())
		}
		f.createLatency = append(f.createLatency, milliseconds(at.Sub(begin)))
		f.warmCreate = append(f.warmCreate, s.cloud.since(mark))
	}
	for range warmCalls {
		begin, mark := time.Now(), s.cloud.mark()
		if _, at, err = s.call(edge, serial, id); err != nil {
			return errors.Join(err, edge.stop())
		}
		f.getLatency = append(f.getLatency, milliseconds(at.Sub(begin)))
		f.warmGet = append(f.warmGet, s.cloud.since(mark))
	}
	return edge.stop()
}

func (f *awsFigures) note(name string, ready time.Duration, calls []awsCall) {
	f.ready[name] = append(f.ready[name], milliseconds(ready))
	f.starts[name] = append(f.starts[name], calls)
}

// workerRound measures a cold function that follows what was created last.
func (s *awsStack) workerRound(ctx context.Context, f *awsFigures, name string) error {
	region := home
	if name == "apply" {
		region = abroadAWS
	}
	event, err := s.workerEvent(name)
	if err != nil {
		return err
	}
	mark := s.cloud.mark()
	instance, ready, err := s.startFunction(ctx, name, region)
	if err != nil {
		return err
	}
	f.note(name, ready, by(s.cloud.since(mark), name))
	mark = s.cloud.mark()
	_, at, err := instance.invoke(event)
	if err != nil {
		return errors.Join(err, instance.stop())
	}
	f.firsts[name] = append(f.firsts[name], by(s.cloud.since(mark), name))
	f.answered[name] = append(f.answered[name], milliseconds(at.Sub(instance.begin)))
	return instance.stop()
}

// workerEvent is what wakes a function: the records of the last commit, the message that the relay made of them, the schedule.
func (s *awsStack) workerEvent(name string) ([]byte, error) {
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	var event any = object{}
	switch name {
	case "relay":
		records := make([]object, 0, len(s.cloud.written))
		for i, keys := range s.cloud.written {
			records = append(records, object{
				"eventID": strconv.Itoa(i), "eventName": "INSERT", "eventSource": "aws:dynamodb", "awsRegion": home,
				"dynamodb": object{"Keys": keys, "SequenceNumber": strconv.Itoa(i + 1), "StreamViewType": "KEYS_ONLY"},
			})
		}
		event = object{"Records": records}
	case "apply":
		var messages []object
		for i, m := range slices.Backward(s.cloud.sent) {
			if m.region != abroadAWS || m.caller != "relay" {
				continue
			}
			messages = append(messages, object{
				"messageId": "m" + strconv.Itoa(i), "receiptHandle": "r" + strconv.Itoa(i), "body": m.text, "awsRegion": abroadAWS,
				"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:" + abroadAWS + ":" + account + ":" + engineDeployment + "-events.fifo",
				"attributes": map[string]string{
					"MessageGroupId": m.group, "ApproximateReceiveCount": "1", "SentTimestamp": strconv.FormatInt(time.Now().UnixMilli(), 10),
				},
				"messageAttributes": object{m.attribute: object{"dataType": "Binary", "binaryValue": base64.StdEncoding.EncodeToString(m.content)}},
			})
			break
		}
		event = object{"Records": messages}
	}
	data, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("making an event: %w", err)
	}
	return data, nil
}

// places counts requests by what they were for: "DynamoDB regional", "KMS", ….
func places(calls []awsCall) map[string]float64 {
	n := make(map[string]float64)
	for _, c := range calls {
		place := c.service
		if c.table != "" {
			place += " " + strings.TrimPrefix(c.table, engineDeployment+"-")
		}
		n[place]++
	}
	return n
}

// typical says what most of several calls asked for, with the sum. What the platform asks by itself each second falls into few of them.
func typical(all [][]awsCall) (text string, sum float64) {
	found := make(map[string]series)
	for _, calls := range all {
		for place, n := range places(calls) {
			found[place] = append(found[place], n)
		}
	}
	var parts []string
	for _, place := range slices.Sorted(maps.Keys(found)) {
		s := found[place]
		for len(s) < len(all) {
			s = append(s, 0)
		}
		if n := s.median(); n > 0 {
			parts = append(parts, strconv.FormatFloat(n, 'f', -1, 64)+" "+place)
			sum += n
		}
	}
	return strings.Join(parts, ", "), sum
}
