package s3snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// noPayload is the SHA-256 of nothing: what a GET sends.
const noPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// maxRefusal is how much is read of a refusal.
const maxRefusal = 4 << 10

// Getter is a Client that loads and does nothing else. It is for functions, which the SDK's client of S3 would make 0.9 MB larger: it
// signs its one request with the SDK's signer, and tries again when the SDK's clients do.
type Getter struct{ cfg aws.Config }

var _ Client = (*Getter)(nil)

// NewGetter returns a getter. Of the configuration it uses Region, Credentials, BaseEndpoint, HTTPClient and Retryer, with the SDK's
// defaults for the last three.
func NewGetter(cfg aws.Config) *Getter {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	if cfg.Retryer == nil {
		cfg.Retryer = func() aws.Retryer { return retry.NewStandard() }
	}
	return &Getter{cfg: cfg}
}

var errOnlyLoads = errors.New("s3snapshot: this process loads snapshots and saves none")

// HeadObject fails: a Getter does not save.
func (*Getter) HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	return nil, errOnlyLoads
}

// PutObject fails: a Getter does not save.
func (*Getter) PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	return nil, errOnlyLoads
}

// GetObject returns an object's body, length and time. It uses Bucket and Key alone, and no options.
func (g *Getter) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	retryer := g.cfg.Retryer()
	for attempt := 1; ; attempt++ {
		out, err := g.get(ctx, in)
		if err == nil || attempt >= retryer.MaxAttempts() || !retryer.IsErrorRetryable(err) || ctx.Err() != nil {
			return out, err
		}
		pause, delayErr := retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

func (g *Getter) get(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	target, err := g.target(aws.ToString(in.Bucket), aws.ToString(in.Key))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking for an object: %w", err)
	}
	credentials, err := g.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("signing a request: %w", err)
	}
	request.Header.Set("X-Amz-Content-Sha256", noPayload)
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, noPayload, "s3", g.cfg.Region, time.Now(), func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3 signs paths as they are sent.
	})
	if err != nil {
		return nil, fmt.Errorf("signing a request: %w", err)
	}
	answer, err := g.cfg.HTTPClient.Do(request)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	if answer.StatusCode != http.StatusOK {
		return nil, refusalOf(answer)
	}
	out := &s3.GetObjectOutput{Body: answer.Body}
	if answer.ContentLength >= 0 {
		out.ContentLength = &answer.ContentLength
	}
	if at, err := http.ParseTime(answer.Header.Get("Last-Modified")); err == nil {
		out.LastModified = &at
	}
	return out, nil
}

// target is an object's URL: the bucket's own host, as AWS wants it, or the bucket in the path of an endpoint that was given.
func (g *Getter) target(bucket, key string) (string, error) {
	if g.cfg.BaseEndpoint != nil {
		base, err := url.Parse(*g.cfg.BaseEndpoint)
		if err != nil {
			return "", fmt.Errorf("the endpoint of S3: %w", err)
		}
		return base.JoinPath(bucket, key).String(), nil
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(g.cfg.Region, "cn-") {
		domain += ".cn"
	}
	at := url.URL{Scheme: "https", Host: bucket + ".s3." + g.cfg.Region + "." + domain, Path: "/" + key}
	return at.String(), nil
}

// refusalOf makes of an answer the error that the SDK's client would make. The body is XML with a Code of letters.
func refusalOf(answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	_ = answer.Body.Close() // What was read is all that is wanted of it.
	_, after, _ := strings.Cut(string(body), "<Code>")
	code, _, _ := strings.Cut(after, "</Code>")
	if err != nil || code == "" {
		code = http.StatusText(answer.StatusCode)
	}
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: answer}, Err: &smithy.GenericAPIError{Code: code, Message: http.StatusText(answer.StatusCode)},
	}
}
