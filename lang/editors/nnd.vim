" Vim syntax of .nnd files. Copy to ~/.vim/syntax/nnd.vim and add to ~/.vim/ftdetect/nnd.vim:
"   autocmd BufRead,BufNewFile *.nnd setfiletype nnd
if exists("b:current_syntax")
  finish
endif

syntax keyword nndItem import const fn layer model optimizer
syntax keyword nndFlow for in if then else scan reversed return where outside
syntax keyword nndWord and or not
syntax keyword nndTruth true false training
syntax keyword nndType real int bool u8
syntax keyword nndReduce sum mean prod max min argmax argmin any all
" Keywords only in places: at the beginning of a statement, or between two operands.
syntax match nndItem "\v(^|[;{}])\s*\zs(data|train|load)\ze\s+[A-Za-z_{]"
syntax match nndFlow "\v(^|[;{}])\s*\zs(valid|test|phase|repeat|every)\ze\s+[A-Za-z0-9_({]"
syntax match nndStatement "\v(^|[;{}])\s*\zs(state|param|fit|next|yield|feed|report|update|minimize|require)\ze\s+[-A-Za-z0-9_\"({]"
syntax match nndStatement "\v<next\ze\s+[A-Za-z_]"
syntax match nndFlow "\v[A-Za-z0-9_\])]\s+\zs(on|over|like|using|carry)\ze\s+[A-Za-z_(]"
syntax match nndFlow "\v^\s*\zs(over|using)\ze\s+[A-Za-z_(]"
syntax match nndNumber "\v<\d+(\.\d+)?([eE][+-]?\d+)?>"
syntax match nndOperator "|>\|->\|//\|[=!<>]=\|[-+*/%^<>=]"
" After a point every word is a name.
syntax match nndMember "\.[A-Za-z_][A-Za-z0-9_]*"
syntax match nndEscape "\\[ntrabfv\\\"'?0-7x]" contained
syntax region nndString start=+"+ skip=+\\.+ end=+"\|$+ contains=nndEscape
syntax match nndComment "#.*$" contains=@Spell

highlight default link nndItem Structure
highlight default link nndFlow Keyword
highlight default link nndStatement Statement
highlight default link nndWord Operator
highlight default link nndTruth Boolean
highlight default link nndType Type
highlight default link nndReduce Function
highlight default link nndNumber Number
highlight default link nndOperator Operator
highlight default link nndEscape SpecialChar
highlight default link nndString String
highlight default link nndComment Comment

setlocal commentstring=#\ %s
let b:current_syntax = "nnd"
