"""The pages of the scheduler.

None of them begins, commits or flushes anything: each request is one transaction of both object
mappers (`txmiddleware`), which commits when the view returns and aborts when it raises.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from example_site.sprints import scheduling, timetable
from example_site.sprints.apps import DRIVERS
from example_site.sprints.forms import CommentForm, MoveForm, ProposeForm
from example_site.sprints.halfway import HalfwayFailure, count_rows
from example_site.sprints.programme import Session
from storm_django.shortcuts import get_object_or_404

SessionView = Callable[[HttpRequest, Session], HttpResponse]


def _member_posts(view: SessionView) -> Callable[[HttpRequest, int], HttpResponse]:
    """Let *view* have POST requests of people who are signed in, and the session.

    Others sign in first and come back to the session's page: their POST cannot be repeated.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, session_id: int) -> HttpResponse:
        found = get_object_or_404(Session, pk=session_id)
        if not request.user.is_authenticated:
            return redirect_to_login(found.get_absolute_url())
        return view(request, found)

    return require_POST(wrapper)


@require_safe
def schedule(request: HttpRequest) -> HttpResponse:
    """The whole programme, as a grid for each day."""
    sessions = timetable.load_sessions()
    columns = timetable.make_columns()
    context = {
        "columns": columns,
        "days": timetable.make_days(columns, sessions),
        "unplaced": [each for each in sessions if each.slot_id is None],
        "count": len(sessions),
        "mine": timetable.attended(sessions, request.user),
    }
    return render(request, "sprints/schedule.html", context)


@require_safe
def session(request: HttpRequest, session_id: int) -> HttpResponse:
    """A session: what it is, who goes, what they say, and where a driver can move it."""
    return _session_page(request, get_object_or_404(Session, pk=session_id))


@_member_posts
def join(request: HttpRequest, found: Session) -> HttpResponse:
    """Attend a session."""
    try:
        scheduling.join(found, request.user)
    except scheduling.Refused as refusal:
        return _session_page(request, found, refusal=refusal)
    messages.success(request, f"You are going to “{found.title}”.")
    return redirect(found)


@_member_posts
def leave(request: HttpRequest, found: Session) -> HttpResponse:
    """No longer attend a session."""
    try:
        scheduling.leave(found, request.user)
    except scheduling.Refused as refusal:
        return _session_page(request, found, refusal=refusal)
    messages.success(request, f"You are no longer going to “{found.title}”.")
    return redirect(found)


@_member_posts
def comment(request: HttpRequest, found: Session) -> HttpResponse:
    """Say something about a session."""
    form = CommentForm(request.POST)
    if not form.is_valid():
        return _session_page(request, found, comment_form=form)
    form.instance.user = request.user
    form.instance.session = found
    form.save()
    return redirect(found)


@_member_posts
def move(request: HttpRequest, found: Session) -> HttpResponse:
    """Put a session elsewhere; for drivers."""
    if not scheduling.is_driver(request.user):
        raise PermissionDenied(f"Only members of the team {DRIVERS} may move sessions.")
    form = MoveForm(request.POST)
    if not form.is_valid():
        return _session_page(request, found, move_form=form)
    room, slot = form.cleaned_data["room"], form.cleaned_data["slot"]
    try:
        scheduling.move(found, room, slot)
    except scheduling.Refused as refusal:
        return _session_page(request, found, move_form=form, refusal=refusal)
    where = f"is now in {room.name}, {slot.starts:%A} {slot.times}" if slot else "has no place now"
    messages.success(request, f"“{found.title}” {where}.")
    return redirect(found)


@login_required
def propose(request: HttpRequest) -> HttpResponse:
    """Propose a session; with the button for it, fail after both object mappers wrote."""
    form = ProposeForm(request.POST or None)
    if form.is_valid():
        fail_halfway = settings.SPRINTS_HALFWAY_BUTTON and "fail" in request.POST
        before = count_rows() if fail_halfway else {}
        proposed = scheduling.propose(request.user, **form.cleaned_data)
        if fail_halfway:
            raise HalfwayFailure(before, during=count_rows())
        messages.success(request, "Thank you! A driver will find a room and a time for it.")
        return redirect(proposed)
    context = {"form": form, "halfway_button": settings.SPRINTS_HALFWAY_BUTTON}
    return render(request, "sprints/propose.html", context, status=422 if form.is_bound else 200)


@require_safe
@login_required
def nothing_kept(request: HttpRequest) -> HttpResponse:
    """Count the rows again after a proposal that failed halfway."""
    if not settings.SPRINTS_HALFWAY_BUTTON:
        raise Http404
    try:
        failure = HalfwayFailure.from_token(request.GET.get("counts", ""))
    except BadSignature:
        raise BadRequest("The address has no row counts of a failed proposal.") from None
    now = count_rows()
    rows = [
        {
            "table": table,
            "mapper": "Storm" if table == Session.__storm_table__ else "Django",
            "before": failure.before[table],
            "during": failure.during[table],
            "now": count,
        }
        for table, count in now.items()
    ]
    return render(
        request, "sprints/nothing_kept.html", {"rows": rows, "kept": now != failure.before}
    )


@require_safe
@login_required
def my_schedule(request: HttpRequest) -> HttpResponse:
    """The sessions that the visitor attends or proposed."""
    attendance = request.user.attendance_set.order_by("session").prefetch_related("session")
    sessions = timetable.with_cards(each.session for each in attendance)
    days = timetable.make_days(timetable.make_columns(), sessions)
    context = {
        "days": [
            {"date": day.date, "entries": entries} for day in days if (entries := _entries(day))
        ],
        "unplaced": [each for each in sessions if each.slot_id is None],
        "count": len(sessions),
        "mine": sessions,
    }
    return render(request, "sprints/my_schedule.html", context)


@require_safe
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Who the visitor is: name, address, groups, OpenID identities."""
    context = {
        "groups": request.user.groups.order_by("name"),
        "identities": request.user.useropenid_set.all(),
    }
    return render(request, "sprints/account.html", context)


def _entries(day: timetable.Day) -> list[dict[str, Any]]:
    """Return the slots of *day* that have a session, each with its cell."""
    return [
        {"slot": row.slot, "cell": cell} for row in day.rows for cell in row.cells if cell.session
    ]


def _session_page(
    request: HttpRequest,
    found: Session,
    *,
    comment_form: CommentForm | None = None,
    move_form: MoveForm | None = None,
    refusal: scheduling.Refused | None = None,
) -> HttpResponse:
    """Show a session; after a *refusal* (409) or with a form that has errors (422), say why."""
    status = 200
    if refusal is not None:
        status = 409
    elif comment_form is not None or move_form is not None:
        status = 422
    attendees = found.attendance.select_related("user").order_by(
        "user__first_name", "user__username"
    )
    context: dict[str, Any] = {
        "session": found,
        "attendees": attendees,
        "mine": request.user in [attendance.user for attendance in attendees],
        "comments": found.comments.select_related("user"),
        "comment_form": comment_form or CommentForm(),
        "refusal": refusal,
    }
    if scheduling.is_driver(request.user):
        here = {"room": found.room, "slot": found.slot}
        context["move_form"] = move_form or MoveForm(initial=here)
        # For the script, which warns about a taken room while one chooses.
        context["taken"] = scheduling.taken_places(but=found)
    return render(request, "sprints/session.html", context, status=status)
