package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The services of AWS that are stood in for, as the rows name them.
const (
	dynamoDB = "DynamoDB"
	kms      = "KMS"
	secrets  = "Secrets Manager"
	sqs      = "SQS"
	s3       = "S3"
	sts      = "STS"
)

// account is the one that the cloud says it is.
const account = "000000000000"

// awsCall is a request that AWS would have been asked, and what DynamoDB would have counted for it.
type awsCall struct {
	// caller is the process that asked; empty: this one.
	caller                            string
	service, operation, region, table string
	// reads and writes are request units; items is the bytes of the items that were read or written, body those of the request.
	reads, writes float64
	items, body   int
}

// cloud stands in for AWS: DynamoDB's items with the conditions that the stores use, KMS, secrets and queues, from memory and without any
// of their delays. It notes every request. It is a http.RoundTripper for clients of this process and an http.Handler for those of others.
type cloud struct {
	// latency is how long a transaction takes, before it has an effect.
	latency time.Duration

	mu      sync.Mutex
	calls   []awsCall
	tables  map[string]*dynamoTable
	objects map[string][]byte
	sent    []sentMessage
	// written are the keys of the regional items that the last commit put.
	written []dynamoItem
}

func newCloud() *cloud {
	return &cloud{tables: make(map[string]*dynamoTable), objects: make(map[string][]byte)}
}

// config is how a client of this process reaches the cloud.
func (c *cloud) config(region string) aws.Config {
	return aws.Config{
		Region: region, HTTPClient: &http.Client{Transport: c},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "bench", SecretAccessKey: "bench"}, nil
		}),
	}
}

// environment is how another process does, which is known by its name.
func environment(endpoint, region, caller string) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": caller, "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": region,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// mark is the place in the log of requests, and since returns what was asked after it.
func (c *cloud) mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

func (c *cloud) since(mark int) []awsCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls[mark:])
}

// by leaves the requests of one process.
func by(calls []awsCall, caller string) []awsCall {
	return slices.DeleteFunc(calls, func(c awsCall) bool { return c.caller != caller })
}

// RoundTrip implements http.RoundTripper.
func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("reading a request: %w", err)
		}
	}
	status, kind, answer := c.answer(r, body)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {kind}, "X-Amzn-Requestid": {"bench"}, checksum: {checksumOf(answer)}},
		Body:          io.NopCloser(bytes.NewReader(answer)),
		ContentLength: int64(len(answer)),
	}, nil
}

// ServeHTTP implements http.Handler.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The caller has gone.
	}
	status, kind, answer := c.answer(r, body)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Amzn-Requestid", "bench")
	w.Header().Set(checksum, checksumOf(answer))
	w.WriteHeader(status)
	_, _ = w.Write(answer) //nolint:gosec // For programs of this measurement, which may have gone.
}

// checksum is the header by which DynamoDB's clients see that an answer is whole.
const checksum = "X-Amz-Crc32"

func checksumOf(body []byte) string { return strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10) }

// Content types of answers.
const (
	typeJSON = "application/x-amz-json-1.0"
	typeXML  = "text/xml"
)

// answer does what a request asks for.
func (c *cloud) answer(r *http.Request, body []byte) (status int, kind string, out []byte) {
	target, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	call := awsCall{operation: operation, body: len(body)}
	call.caller, call.region = signerOf(r)
	var answer any
	status = http.StatusOK
	switch {
	case strings.HasPrefix(target, "DynamoDB_"):
		if operation == "TransactWriteItems" && c.latency > 0 {
			select {
			case <-time.After(c.latency):
			case <-r.Context().Done():
			}
		}
		call.service = dynamoDB
		status, answer = c.dynamo(&call, body)
	case target == "TrentService":
		call.service = kms
		answer = encryption(call.region, body)
	case target == "secretsmanager":
		call.service = secrets
		answer = secretOf(call.region, body)
	case target == "AmazonSQS":
		call.service = sqs
		answer = c.queue(&call, body)
	case r.Method == http.MethodPost:
		call.service = sts
		c.note(call)
		return status, typeXML, []byte(identity)
	default:
		call.service = s3
		c.note(call)
		status, out = c.object(r, body)
		return status, typeXML, out
	}
	c.note(call)
	out, err := json.Marshal(answer)
	if err != nil {
		return http.StatusInternalServerError, typeJSON, nil
	}
	return status, typeJSON, out
}

func (c *cloud) note(call awsCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
}

// object answers for S3, which has an object at a path or none.
func (c *cloud) object(r *http.Request, body []byte) (status int, out []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stored, ok := c.objects[r.URL.Path]
	switch {
	case r.Method == http.MethodPut:
		c.objects[r.URL.Path] = body
		return http.StatusOK, nil
	case !ok:
		return http.StatusNotFound, []byte(noObject)
	default:
		return http.StatusOK, stored
	}
}

// signerOf reads who signed a request, and for which region.
func signerOf(r *http.Request) (caller, region string) {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	parts := strings.Split(scope, "/")
	if len(parts) < 3 {
		return "", ""
	}
	return parts[0], parts[2]
}

const (
	identity = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<Arn>arn:aws:iam::` + account + `:role/bench</Arn><UserId>bench</UserId><Account>` + account +
		`</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	noObject = `<Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>`
)

// secretOf is a secret that follows from its name and region.
func secretOf(region string, body []byte) object {
	sum := sha256.Sum256(append([]byte(region), body...))
	return object{"Name": "secret", "SecretString": hex.EncodeToString(sum[:])}
}

// encryption is KMS with a key that keeps nothing secret: what it encrypts is the plaintext itself.
func encryption(region string, body []byte) object {
	var in struct{ Plaintext, CiphertextBlob []byte }
	_ = json.Unmarshal(body, &in) //nolint:musttag // The fields are called as KMS calls them. What the SDK sends is JSON.
	arn := "arn:aws:kms:" + region + ":" + account + ":key/bench"
	return object{
		"KeyId": arn, "CiphertextBlob": in.Plaintext, "Plaintext": in.CiphertextBlob,
		"KeyMetadata": object{
			"KeyId": "bench", "Arn": arn, "KeyState": "Enabled", "Enabled": true, "KeyUsage": "ENCRYPT_DECRYPT",
			"KeySpec": "SYMMETRIC_DEFAULT", "MultiRegion": false,
		},
	}
}
