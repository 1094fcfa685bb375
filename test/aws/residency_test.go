//go:build aws

package aws_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
)

// found is where a word that was looked for lies.
type found struct{ word, region, place, key string }

// search looks for words in all that a deployment keeps, with nothing but AWS's own interfaces: tables, queues, dead letters, buckets, log
// groups. It looks for them in clear and in base64, and returns where they are and how many pieces it looked at. A queue counts that as a
// reception of each of its messages.
func (d *deployed) search(t testing.TB, words ...string) (hits []found, pieces int) {
	t.Helper()
	for _, i := range d.topology.Regions() {
		region := string(d.topology.ID(i))
		look := func(place, key string, data []byte) {
			pieces++
			for _, word := range words {
				if contains(data, word) {
					hits = append(hits, found{word, region, place, key})
				}
			}
		}
		for _, table := range []string{"directory", "regional", "keys", "replica", "settings"} {
			d.scan(t, region, table, func(item map[string]types.AttributeValue) {
				key := fmt.Sprintf("%q %q", bytesOf(item["pk"]), bytesOf(item["sk"]))
				for _, value := range item {
					look(table, key, bytesOf(value))
				}
			})
		}
		for _, queue := range queuesOf(d.topology, i) {
			for _, name := range []string{d.names.Queue(queue), d.names.DeadQueue(queue)} {
				d.browse(t, region, name, func(m sqstypes.Message) {
					look(name, aws.ToString(m.MessageId), contentOf(m))
				})
			}
		}
		d.objects(t, region, look)
		d.logs(t, region, look)
	}
	return hits, pieces
}

// contains tells whether data have a word in them, also within base64.
func contains(data []byte, word string) bool {
	if bytes.Contains(data, []byte(word)) {
		return true
	}
	for shift := range 3 { // A word's letters fall on base64's groups of three in three ways.
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift) + word))
		if bytes.Contains(data, []byte(encoded[(shift*8+5)/6:len(encoded)-1])) {
			return true
		}
	}
	return false
}

// bytesOf are the bytes of an attribute, in whatever form.
func bytesOf(value types.AttributeValue) []byte {
	switch v := value.(type) {
	case *types.AttributeValueMemberB:
		return v.Value
	case *types.AttributeValueMemberS:
		return []byte(v.Value)
	case nil:
		return nil
	default:
		raw, _ := json.Marshal(v) // What cannot be written has no text.
		return raw
	}
}

// browse looks at the messages of a queue that are in sight, and puts each back in sight.
func (d *deployed) browse(t testing.TB, region, name string, each func(sqstypes.Message)) {
	t.Helper()
	client := d.in(region).sqs
	url, err := queueURL(t.Context(), client, name)
	if err != nil {
		t.Fatal(err)
	}
	var all []sqstypes.Message
	for {
		messages, err := receive(t.Context(), client, url)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			break
		}
		all = append(all, messages...)
	}
	for _, m := range all {
		each(m)
		if err := show(t.Context(), client, url, m); err != nil {
			t.Fatal(err)
		}
	}
}

// objects reads the region's bucket.
func (d *deployed) objects(t testing.TB, region string, look func(place, key string, data []byte)) {
	t.Helper()
	i, _ := d.topology.Index(d.id(region))
	bucket, client := d.bucket(i), d.in(region).s3
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(object.Body)
		if err := errors.Join(err, object.Body.Close()); err != nil {
			t.Fatal(err)
		}
		look(bucket, aws.ToString(o.Key), data)
	}
}

// logs reads the region's log groups whose names have the deployment's in them.
func (d *deployed) logs(t testing.TB, region string, look func(place, key string, data []byte)) {
	t.Helper()
	var groups struct {
		LogGroups []struct{ LogGroupName string } `json:"logGroups"` //nolint:tagliatelle // AWS's name
	}
	d.ask(t, region, "DescribeLogGroups", map[string]any{}, &groups)
	for _, g := range groups.LogGroups {
		if !strings.Contains(g.LogGroupName, d.names.Deployment()) {
			continue
		}
		var events struct {
			Events []struct{ Message string } `json:"events"`
		}
		d.ask(t, region, "FilterLogEvents", map[string]any{"logGroupName": g.LogGroupName}, &events)
		for _, e := range events.Events {
			look(g.LogGroupName, "", []byte(e.Message))
		}
	}
}

// ask calls CloudWatch Logs, whose SDK the project does not have.
func (d *deployed) ask(t testing.TB, region, op string, in, out any) {
	t.Helper()
	if err := d.askLogs(t.Context(), region, op, in, out); err != nil {
		t.Fatalf("%s in %s: %v", op, region, err)
	}
}

func (d *deployed) askLogs(ctx context.Context, region, op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("AWS_ENDPOINT_URL"), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Logs_20140328."+op)
	credentials, err := d.in(region).aws.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("finding credentials: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), "logs", region, time.Now()); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", answer.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// clean returns what is wrong with where a user's data lie: a word of it in clear, or its sealed row elsewhere than where the law lets it be.
func (d *deployed) clean(t testing.TB, word, user string, lawful ...string) error {
	t.Helper()
	hits, pieces := d.search(t, word, user)
	rows := make(map[string]int)
	for _, h := range hits {
		if h.word == word {
			return fmt.Errorf("personal data lie in clear in %s of %s at %s", h.place, h.region, h.key)
		}
		if h.place == "regional" && strings.Contains(h.key, `e/`+user) {
			rows[h.region]++
		}
	}
	t.Logf("%q is in none of %d pieces", word, pieces)
	for _, region := range lawful {
		if rows[region] == 0 {
			return fmt.Errorf("the sealed row of %s is not in %s", user, region)
		}
		delete(rows, region)
	}
	if len(rows) > 0 {
		return fmt.Errorf("the sealed row of %s is also in %v", user, rows)
	}
	return nil
}

// audited returns what the platform's own audit finds.
func audited(ctx context.Context, server, key string) error {
	r, err := operations(server, key).ScanAudit(ctx, &operationsv1.ScanAuditRequest{})
	if err != nil {
		return fmt.Errorf("auditing: %w", err)
	}
	for _, region := range r.GetRegions() {
		switch {
		case region.GetUnreachable() != "":
			return fmt.Errorf("%s was not audited: %s", region.GetRegion(), region.GetUnreachable())
		case region.GetFindingCount() > 0:
			return fmt.Errorf("the audit finds in %s: %v", region.GetRegion(), region.GetFindings()[0])
		case region.GetItems() == 0:
			return fmt.Errorf("the audit looked at nothing in %s", region.GetRegion())
		}
	}
	return nil
}

// residency looks for a user's data while messages about it lie in queues and among dead letters.
func (s *stack) residency(t *testing.T) {
	word := "canary" + strings.ToLower(rand.Text()[:12])
	s.regions[virginia].events.stop()
	s.regions[dublin].sealed.stop()
	user := s.create(t, word)
	s.lying(t, virginia, "events", user)
	eventually(t, "the sealed copy's message is in Dublin", func() error {
		if n := s.inSight(t, dublin, s.names.Queue("sealed")); n == 0 {
			return errors.New("the queue is empty")
		}
		return nil
	})
	if err := s.clean(t, word, user, frankfurt); err != nil {
		t.Error(err)
	}
	s.kill(t, virginia, "events")
	if err := s.clean(t, word, user, frankfurt); err != nil {
		t.Errorf("with dead letters: %v", err)
	}
	if err := audited(t.Context(), s.control.OperationsURL(), s.operator); err != nil {
		t.Errorf("with dead letters: %v", err)
	}
	if _, err := operations(s.control.OperationsURL(), s.operator).RedriveDeadLetters(t.Context(), &operationsv1.RedriveDeadLettersRequest{Region: virginia}); err != nil {
		t.Errorf("putting dead letters back: %v", err)
	}
	s.regions[virginia].events.start()
	s.regions[dublin].sealed.start()
	s.known(t, user)
	eventually(t, "the sealed copy is in Dublin", func() error {
		if s.rowsWith(t, dublin, "regional", "e/"+user) == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	if err := s.clean(t, word, user, frankfurt, dublin); err != nil {
		t.Error(err)
	}
	if err := audited(t.Context(), s.control.OperationsURL(), s.operator); err != nil {
		t.Error(err)
	}
	if contains([]byte(s.log.String()), word) {
		t.Error("personal data lie in clear in the output of services or functions")
	}
	s.proof(t)
}
