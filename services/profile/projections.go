package profile

import (
	"context"

	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
)

// GetUserSummary answers what every region may know of a user.
func (s *server) GetUserSummary(ctx context.Context, req *profilev1.GetUserSummaryRequest) (*profilev1.GetUserSummaryResponse, error) {
	summary, err := entity.GetProjection[*profilev1.UserSummary](ctx, s.users, req.GetId())
	if err != nil {
		return nil, err
	}
	return &profilev1.GetUserSummaryResponse{Summary: summary}, nil
}

// ListUserSummaries answers a page of what every region may know of the users.
func (s *server) ListUserSummaries(
	ctx context.Context, req *profilev1.ListUserSummariesRequest,
) (*profilev1.ListUserSummariesResponse, error) {
	page := entity.Page{Size: req.GetPageSize(), Token: req.GetPageToken()}
	summaries, next, err := entity.ListProjections[*profilev1.UserSummary](ctx, s.users, page)
	if err != nil {
		return nil, err
	}
	return &profilev1.ListUserSummariesResponse{Summaries: summaries, NextPageToken: next}, nil
}

// GetUserRecord answers what the regions of the jurisdiction may know of a user.
func (s *server) GetUserRecord(ctx context.Context, req *profilev1.GetUserRecordRequest) (*profilev1.GetUserRecordResponse, error) {
	record, err := entity.GetProjection[*profilev1.UserRecord](ctx, s.users, req.GetId())
	if err != nil {
		return nil, err
	}
	return &profilev1.GetUserRecordResponse{Record: record}, nil
}
