//go:build aws

package sqsqueue_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue/queuetest"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	runSuite(t, newClient(t, nil))
}

func runSuite(t *testing.T, client *sqs.Client) {
	t.Helper()
	queuetest.Run(t, func(t *testing.T, s queuetest.Setup) queuetest.Queues {
		t.Helper()
		name := "test-" + strings.ToLower(rand.Text())
		dead := newQueue(t, client, name+"-dead.fifo", nil)
		main := newQueue(t, client, name+".fifo", map[string]string{"RedrivePolicy": redrivePolicy(t, client, dead, s.MaxReceives)})
		return openQueues(t, client, main, dead)
	}, queuetest.Options{Forgets: true})
}

func openQueues(t *testing.T, client *sqs.Client, main, dead string) queuetest.Queues {
	t.Helper()
	q := open(t, sqsqueue.Config{Client: client, URL: main})
	d := open(t, sqsqueue.Config{Client: client, URL: dead, DeadLetters: true})
	closeBoth := func() error { return errors.Join(q.Close(), d.Close()) }
	return queuetest.Queues{Queue: q, Dead: d, Close: closeBoth, Reopen: func() queuetest.Queues {
		if err := closeBoth(); err != nil {
			t.Fatal(err)
		}
		return openQueues(t, client, main, dead)
	}}
}

// newClient returns a client of the AWS that AWS_ENDPOINT_URL names, whose requests go through a transport, if one is given.
func newClient(t *testing.T, transport http.RoundTripper) *sqs.Client {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("AWS_ENDPOINT_URL is not set: these tests want a LocalStack")
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-central-1"))
	if err != nil {
		t.Fatal(err)
	}
	return sqs.NewFromConfig(cfg, func(o *sqs.Options) {
		if transport != nil {
			o.HTTPClient = &http.Client{Transport: transport}
		}
	})
}

// newQueue makes a queue as the infrastructure does, with some attributes set or, when empty, left out, and returns its URL.
func newQueue(t *testing.T, client *sqs.Client, name string, changes map[string]string) string {
	t.Helper()
	attributes := map[string]string{
		"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "MaximumMessageSize": "1048576",
	}
	for attribute, value := range changes {
		if attributes[attribute] = value; value == "" {
			delete(attributes, attribute)
		}
	}
	out, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: &name, Attributes: attributes, Tags: map[string]string{"domicile:schema": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteQueue(context.WithoutCancel(t.Context()), &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}); err != nil {
			t.Error(err)
		}
	})
	return *out.QueueUrl
}

func redrivePolicy(t *testing.T, client *sqs.Client, dead string, maxReceives int) string {
	t.Helper()
	out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &dead, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		t.Fatal(err)
	}
	return `{"deadLetterTargetArn":` + strconv.Quote(out.Attributes["QueueArn"]) + `,"maxReceiveCount":` + strconv.Itoa(maxReceives) + `}`
}
