#include "everyday.h"

namespace bailey::tests {

namespace {

// Each begins with what fails when a file of the host's /etc or /var is missing.
constexpr App kApps[] = {
    {"R", "Rscript", R"sh(Rscript -e 'cat(coef(lm(dist ~ speed, cars)), "\n"); pdf("a.pdf"); plot(1:3); invisible(dev.off())' &&
head -c 5 a.pdf)sh"},
    {"FreePascal", "fpc", R"sh(echo 'uses sysutils; begin writeln(IntToStr(6 * 7)) end.' >a.pas && fpc a.pas >log && ./a)sh"},
    {"Mono", "mono,mcs", R"sh(cat >a.cs <<'end'
class A { static int Main() { System.Console.WriteLine(new System.Uri("http://host/path").Host); return 3; } }
end
mcs a.cs && mono a.exe)sh",
     3},
    {"Latex", "pdflatex,kpsewhich", R"sh(cat >a.tex <<'end'
\documentclass{article}
\begin{document}
$x^2$
\end{document}
end
pdflatex -interaction=batchmode a.tex >log && head -c 5 a.pdf && kpsewhich texmf.cnf cmr10.tfm)sh"},
    {"ImageMagick", "convert,identify",
     R"sh(convert -size 40x40 xc:red -annotate 0 hi a.png && identify -format '%m %wx%h\n' a.png &&
convert -list policy | head -n 3)sh"},
    {"Ghostscript", "gs", R"sh(cat >a.ps <<'end'
%!PS
/Helvetica findfont 12 scalefont setfont 9 9 moveto (text) show showpage
end
gs -q -dBATCH -dNOPAUSE -sDEVICE=png16m -sOutputFile=a.png a.ps && sha256sum a.png)sh"},
    {"Php", "php",
     R"sh(php -r '$x = new SimpleXMLElement("<a><b>1</b></a>"); echo $x->b, php_ini_loaded_file(), ini_get("memory_limit"), PHP_EOL;')sh"},
    {"Ruby", "ruby",
     R"sh(ruby -rjson -ropenssl -e 'puts JSON.dump([OpenSSL::Digest::SHA256.hexdigest("x"), Gem::VERSION])')sh"},
    {"Erlang", "erl", R"sh(erl -noshell -eval 'io:format("~p~n", [lists:sum([1, 2])]), halt().')sh"},
    {"Sbcl", "sbcl", R"sh(sbcl --noinform --non-interactive --eval '(require :asdf)' --eval '(print (* 6 7))')sh"},
    {"Gnuplot", "gnuplot",
     R"sh(gnuplot -e 'set term dumb; plot sin(x)' && gnuplot -e 'set term png; set output "a.png"; plot x' &&
head -c 4 a.png | tail -c 3)sh"},
    {"Graphviz", "dot",
     R"sh(echo 'digraph { a -> b }' | dot -Tplain && echo 'digraph { a }' | dot -Tpng | head -c 4 | tail -c 3)sh"},
    {"Aspell", "aspell", R"sh(echo 'helo world' | aspell -a | tail -n +2 && aspell dicts | head -n 2)sh"},
    {"Docbook", "xsltproc,xmllint", R"sh(cat >a.xml <<'end'
<!DOCTYPE book PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN" "http://www.oasis-open.org/docbook/xml/4.5/docbookx.dtd">
<book><title>t</title><chapter><title>c</title><para>p</para></chapter></book>
end
xmllint --nonet --valid --noout a.xml && echo valid)sh"},
    {"Fontconfig", "fc-match,fc-list", R"sh(fc-match sans && fc-list | sort | head -n 3)sh"},
    {"Lscpu", "lscpu", R"sh(lscpu | grep -c -E '^(CPU|On-line CPU)' && getconf _NPROCESSORS_CONF && nproc)sh"},
};

}  // namespace

std::span<const App> installed_apps() { return kApps; }

}  // namespace bailey::tests
