"""The group of commands: its help in sections, and errors of usage in one line."""

from inspect import cleandoc

import click

from vaegan.errors import UserError
from vaegan.text import shorten, to_one_line


class CommandGroup(click.Group):
    """A command group whose help has a section for each purpose.

    It leaves Ctrl-C to `exit_with_one_line`; click would print an empty line in every process.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands, and list them in the help under ``title``; what their docstrings say of errors is no help."""
        for command in commands:
            command.help = cleandoc(command.help or "").partition("\n\nRaises:")[0]
            self.add_command(command)
        self.sections[title] = [command.name or "" for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command, section by section."""
        width = max(map(len, self.commands))
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", self.commands[name].short_help or "") for name in names])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of the command, the command and its arguments.

        Raises:
            UserError: There is no such command.
        """
        if args[0] in self.commands or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from vaegan.config.explain_error import suggest_nearest

        nearest = suggest_nearest(args[0], self.commands)
        raise UserError(f"{shorten(args[0])}: no such command{nearest}; see `{ctx.command_path} --help`")

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except click.UsageError as error:
            name = ctx.invoked_subcommand
            if error.ctx is None and name is not None:  # click leaves it out where an option has no value
                error.ctx = click.Context(self.commands[name], parent=ctx, info_name=name)
            raise


def describe_usage_error(error: click.ClickException) -> str:
    """Describe an error of click in one line: the option or argument, what is wrong, a near match, where to look."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.message[:1].lower() + error.message[1:].rstrip(".")
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        message = f"{name}: no such option"
        if "." in name:
            message += f"; a setting is written {name.lstrip('-')}=VALUE"
        elif error.possibilities:
            message += f"; did you mean {error.possibilities[0]}?"
    elif isinstance(error, click.BadParameter) and (parameter := error.param) is not None:
        is_option = isinstance(parameter, click.Option)
        name = max(parameter.opts, key=len) if is_option else parameter.human_readable_name.rstrip(".")
        message = f"{name}: {'missing' if isinstance(error, click.MissingParameter) else message}"
    return f"{to_one_line(message)}; see `{context.command_path if context else 'vaegan'} --help`"
