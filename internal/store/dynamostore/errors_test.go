package dynamostore

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// What cannot get better by waiting is told at once, by type.
func TestFinalErrors(t *testing.T) {
	t.Parallel()
	access := func(err error) bool { _, ok := errors.AsType[*AccessError](err); return ok }
	schema := func(err error) bool { _, ok := errors.AsType[*SchemaError](err); return ok }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	canceled := func(code, message string) *dynamotest.Answer {
		return &dynamotest.Answer{
			Code: "TransactionCanceledException", Body: `{"CancellationReasons":[{"Code":"` + code + `","Message":"` + message + `"}]}`,
		}
	}
	tests := []struct {
		name   string
		answer *dynamotest.Answer
		want   func(error) bool
	}{
		{"access denied", &dynamotest.Answer{Code: "AccessDeniedException"}, access},
		{"expired credentials", &dynamotest.Answer{Code: "ExpiredTokenException"}, access},
		{"wrong credentials", &dynamotest.Answer{Code: "UnrecognizedClientException"}, access},
		{"wrong signature", &dynamotest.Answer{Code: "InvalidSignatureException"}, access},
		{"no table", &dynamotest.Answer{Code: "ResourceNotFoundException"}, schema},
		{"other keys", &dynamotest.Answer{
			Code: "ValidationException", Body: `{"message":"The provided key element does not match the schema"}`,
		}, schema},
		{"an item too large", &dynamotest.Answer{
			Code: "ValidationException", Body: `{"message":"Item size has exceeded the maximum allowed size"}`,
		}, is(store.ErrTooLarge)},
		{"a transaction too large", &dynamotest.Answer{
			Code: "ValidationException", Body: `{"message":"There is more than 4 MB of data in the transaction."}`,
		}, is(store.ErrTooLarge)},
		{"a request too large", &dynamotest.Answer{Code: "RequestEntityTooLarge", Status: 413}, is(store.ErrTooLarge)},
		{"an invalid request", &dynamotest.Answer{Code: "ValidationException", Body: `{"message":"No."}`}, is(store.ErrInvalid)},
		{"no room in a collection", &dynamotest.Answer{Code: "ItemCollectionSizeLimitExceededException"}, is(store.ErrFull)},
		{"canceled: no room in a collection", canceled("ItemCollectionSizeLimitExceeded", "full"), is(store.ErrFull)},
		{"canceled: too large", canceled("ValidationError", "Item size to update has exceeded the maximum allowed size"), is(store.ErrTooLarge)},
		{"canceled: invalid", canceled("ValidationError", "No."), is(store.ErrInvalid)},
		{"canceled: another reason", canceled("DuplicateItem", "twice"), func(err error) bool { return strings.Contains(err.Error(), "DuplicateItem") }},
		{"something else", &dynamotest.Answer{Code: "NewException"}, func(err error) bool { return strings.Contains(err.Error(), "NewException") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer { return tt.answer }}
			err := stubbed(t, transport).Commit(t.Context(), commit("token", put(item("a", 1), store.Absent())))
			if err == nil || !tt.want(err) || isUnavailable(err) || errors.As(err, new(*store.ConditionError)) {
				t.Errorf("%v", err)
			}
			if n := len(transport.Calls()); n != 1 {
				t.Errorf("%d calls; want 1", n)
			}
			t.Log(err)
		})
	}
}

// Without credentials nothing is sent, and the error says where to look.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer { return &dynamotest.Answer{} }}
	o := transport.Client().Options()
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no role")
	})
	s, err := New(Config{Table: "table", Client: dynamodb.New(o)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), item("a", 1).Key)
	if _, ok := errors.AsType[*AccessError](err); !ok || !strings.Contains(err.Error(), "credentials of this process") || len(transport.Calls()) > 0 {
		t.Errorf("%v after %d calls; want an AccessError after none", err, len(transport.Calls()))
	}
}
