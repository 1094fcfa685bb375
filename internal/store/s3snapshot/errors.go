package s3snapshot

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/domicile-api/domicile/internal/directory"
)

// errBusy says that others saved whenever this process did.
var errBusy = errors.New("others save at the same time, again and again")

func (c *Copy) name() string { return "s3://" + c.cfg.Bucket + "/" + c.cfg.Key }

// explain gives an error the type by which callers decide, and says what was being done.
func (c *Copy) explain(doing string, err error) error {
	code := codeOf(err)
	switch {
	case err == nil:
		return nil
	case code == "NoSuchBucket":
		return fmt.Errorf("%s %s: the bucket does not exist; deploy the infrastructure of this region: %w", doing, c.name(), err)
	case isMissing(err):
		return directory.ErrNoSnapshot
	case statusOf(err) == http.StatusForbidden:
		return fmt.Errorf("%s %s: %w (%s); look at the role, the bucket's policy and its key: %w", doing, c.name(), directory.ErrCopyDenied, code, err)
	default:
		return fmt.Errorf("%s %s: %w", doing, c.name(), err)
	}
}

// isMissing tells whether there is no such object. A HEAD's answer has no body, and so no better name of the error.
func isMissing(err error) bool {
	code := codeOf(err)
	return code == "NoSuchKey" || code == "NotFound"
}

// lostRace tells whether another object was put since this one was looked at.
func lostRace(err error) bool {
	status := statusOf(err)
	return status == http.StatusPreconditionFailed || status == http.StatusConflict
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// statusOf is the HTTP status of an error's answer; 0 when it had none.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}
