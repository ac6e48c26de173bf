"""Operations on applications and their revisions."""

from __future__ import annotations

import uuid
from typing import Any

from shipit.sandbox.codedeploy.operations import Operations, operation
from shipit.sandbox.codedeploy.paging import page
from shipit.sandbox.codedeploy.records import Application, Registration
from shipit.sandbox.codedeploy.requests import limit_batch, read_bundle, read_description
from shipit.sandbox.codedeploy.views import application_view, bundle_view, registration_view
from shipit.sandbox.wire import ApiError

_MOST_APPLICATIONS = 100
_MOST_REVISIONS = 25


class ApplicationOperations(Operations):
    """Serve applications and revisions."""

    @operation
    def create_application(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create an application of the compute platform Server."""
        name = request["applicationName"]
        if request.get("computePlatform", "Server") != "Server":
            raise ApiError("InvalidComputePlatformException", "the sandbox deploys to Server only")
        if name in self._store.applications:
            raise ApiError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
        application = Application(name=name, id=str(uuid.uuid4()), created_at=self._timer.now())
        self._store.applications[name] = application
        return {"applicationId": application.id}

    @operation
    def get_application(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show an application."""
        return {"application": application_view(self._store.application(request["applicationName"]))}

    @operation
    def batch_get_applications(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show up to 100 applications; one that does not exist fails the batch."""
        names = request["applicationNames"]
        limit_batch(names, _MOST_APPLICATIONS)
        return {"applicationsInfo": [application_view(self._store.application(name)) for name in names]}

    @operation
    def list_applications(self, request: dict[str, Any]) -> dict[str, Any]:
        """List the names of all applications."""
        names, token = page(sorted(self._store.applications), request.get("nextToken"))
        return {"applications": names, "nextToken": token}

    @operation
    def delete_application(self, request: dict[str, Any]) -> dict[str, Any]:
        """Delete an application with its groups; one that does not exist is no error."""
        application = self._store.applications.pop(request["applicationName"], None)
        for group in application.groups.values() if application else ():
            self._engine.abandon(group)
        return {}

    @operation
    def register_application_revision(self, request: dict[str, Any]) -> dict[str, Any]:
        """Note a revision; S3 is not asked whether it exists, as AWS does not."""
        application = self._store.application(request["applicationName"])
        bundle, description = read_bundle(request["revision"]), read_description(request)
        known = application.revisions.setdefault(bundle, Registration(registered_at=self._timer.now()))
        known.description = description
        return {}

    @operation
    def get_application_revision(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show what is known of a revision."""
        application = self._store.application(request["applicationName"])
        bundle = read_bundle(request["revision"])
        if bundle not in application.revisions:
            raise ApiError("RevisionDoesNotExistException", f"No revision found for {bundle.revision}")
        return {
            "applicationName": application.name,
            "revision": bundle_view(bundle),
            "revisionInfo": registration_view(application, bundle, application.revisions[bundle]),
        }

    @operation
    def batch_get_application_revisions(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show up to 25 revisions; unknown ones are left out."""
        application = self._store.application(request["applicationName"])
        limit_batch(request["revisions"], _MOST_REVISIONS)
        return {
            "applicationName": application.name,
            "revisions": [
                {
                    "revisionLocation": bundle_view(bundle),
                    "genericRevisionInfo": registration_view(application, bundle, application.revisions[bundle]),
                }
                for bundle in map(read_bundle, request["revisions"])
                if bundle in application.revisions
            ],
        }

    @operation
    def list_application_revisions(self, request: dict[str, Any]) -> dict[str, Any]:
        """List revisions by bucket, key prefix and whether a group runs them; times that are missing sort first."""
        application = self._store.application(request["applicationName"])
        if request.get("s3KeyPrefix") and not request.get("s3Bucket"):
            raise ApiError("BucketNameFilterRequiredException", "s3KeyPrefix needs s3Bucket")
        deployed = {g.last_success.order.bundle for g in application.groups.values() if g.last_success}
        found = {
            str(number): bundle
            for number, bundle in enumerate(application.revisions)
            if bundle.revision.bucket == request.get("s3Bucket", bundle.revision.bucket)
            and bundle.revision.key.startswith(request.get("s3KeyPrefix", ""))
            and _wanted(bundle in deployed, request.get("deployed", "ignore"))
        }
        order = _SORT_KEYS[request.get("sortBy", "registerTime")]
        numbers = sorted(
            found,
            key=lambda number: getattr(application.revisions[found[number]], order) or 0.0,
            reverse=request.get("sortOrder") == "descending",
        )
        chosen, token = page(numbers, request.get("nextToken"))
        return {"revisions": [bundle_view(found[number]) for number in chosen], "nextToken": token}


_SORT_KEYS = {
    "registerTime": "registered_at",
    "firstUsedTime": "first_used_at",
    "lastUsedTime": "last_used_at",
}


def _wanted(is_deployed: bool, choice: str) -> bool:
    return choice == "ignore" or is_deployed == (choice == "include")
